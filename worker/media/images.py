"""Encoded frames to RGB with OpenCV.

What a picture becomes is, bit for bit, what `torchvision.io.decode_image(data, mode="RGB")` makes of it:

- Pixels lie as they are stored. An EXIF orientation is ignored, torchvision's default: a model must not see one camera
  turned and another not because only one of them writes EXIF.
- Grey and palette become RGB. Alpha is dropped, not blended: there is no background to blend with.
- 16-bit PNG keeps the high byte of each sample (torchvision keeps all 16 bits; models here take 8).
- CMYK JPEG and animations are refused; decoders differ in what they make of them.

Only a JPEG that is decoded at a fraction of its size is something else, as whoever asks for that knows.

Damage within the pixels that leaves the frame around them whole cannot be seen in JPEG and WebP, for these have no
checksum: the decoder guesses on. libjpeg and libpng themselves write a line on standard error for a damaged picture;
OpenCV's log level does not reach them.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import EnvelopeInvalid, ImageTooLarge, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import EncodedFrame, Image, RawLayout
from worker.media.headers import PictureHeader, PictureKind, inspect_picture

_FLAGS: Final = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
# By what they divide the sides by, largest first. Beside a flag of colour these say the scale alone; those named after
# colour mean BGR.
_REDUCED: Final = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
_MAX_ASPECT: Final = 32
"""Of a longer and thinner picture, resizing the shorter side would take any amount of memory."""
_RAW_TYPES: Final = frozenset({"image/x-raw", "video/x-raw"})


class _RawFormat(NamedTuple):
    bits: int  # for one pixel, all planes together
    to_rgb: int | None  # OpenCV's conversion

    @property
    def subsampled(self) -> bool:
        return self.bits == 12  # 2x2 pixels share their chroma


_RAW_FORMATS: Final = {
    "rgb24": _RawFormat(24, None),
    "bgr24": _RawFormat(24, cv2.COLOR_BGR2RGB),
    "gray8": _RawFormat(8, cv2.COLOR_GRAY2RGB),
    "nv12": _RawFormat(12, cv2.COLOR_YUV2RGB_NV12),
    "i420": _RawFormat(12, cv2.COLOR_YUV2RGB_I420),
}


def limit_opencv_threads(threads: int) -> None:
    """Set how many threads one OpenCV call may use, in the whole process; call before the first picture.

    Where pictures are decoded side by side, one each is best.
    """
    cv2.setNumThreads(threads)


def decode_image(frame: EncodedFrame, *, max_pixels: int, shorter_side: int | None = None) -> Image:
    """Decode one frame.

    A frame with a raw layout is read by it. Any other is what its first bytes say, JPEG, PNG or WebP; as in browsers, a
    content type that says otherwise is not believed.

    Args:
        frame: the picture with its envelope.
        max_pixels: width times height of the largest picture to take; checked before any memory is taken for it.
        shorter_side: pixels that suffice of the shorter side. A JPEG is then decoded at the least of an eighth, a
            quarter, half and all of its size that has as many, for its decoder can leave the rest undone.

    Returns:
        RGB, (height, width, 3), uint8, in memory of its own. YUV is taken as BT.601, limited range.

    Raises:
        ImageUndecodable: empty, cut short, damaged, or no picture.
        ImageUnsupported: a picture of a kind that is not taken, or far longer than wide.
        ImageTooLarge: more than `max_pixels`.
        EnvelopeInvalid: the content type is raw and the layout is missing.
        MemoryError: the machine has no memory for a picture within the limit; not the frame's fault.
    """
    found = inspect_frame(frame, max_pixels=max_pixels)
    if isinstance(found, RawLayout):
        return Image(_unpack(frame.data, found))
    return Image(_decode(frame.data, found, _scale(found, shorter_side)), (found.width, found.height))


def inspect_frame(frame: EncodedFrame, *, max_pixels: int) -> PictureHeader | RawLayout:
    """Say what an encoded picture is, and check all that can be checked before it is decoded.

    Raises:
        ImageUndecodable: empty, cut short, contradicting itself, or no picture.
        ImageUnsupported: a picture of a kind that is not taken, or far longer than wide.
        ImageTooLarge: more than `max_pixels`.
        EnvelopeInvalid: the content type is raw and the layout is missing.
    """
    if not frame.data:
        raise ImageUndecodable(Reason.EMPTY, "the record has no value: send the picture as the value")
    if frame.raw is not None:
        _check_layout(frame.data, frame.raw, max_pixels)
        return frame.raw
    content_type = (frame.content_type or "").partition(";")[0].strip().lower()
    if content_type in _RAW_TYPES:
        raise EnvelopeInvalid(f"content type {content_type} needs a layout: send pixel format, width and height too")
    header = inspect_picture(frame.data)
    _check_size(header.width, header.height, max_pixels)
    return header


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} is {width * height} pixels, the limit is {max_pixels}: "
            f"send smaller pictures or raise limits.max_pixels"
        )
    if min(width, height) * _MAX_ASPECT < max(width, height):
        raise ImageUnsupported(
            f"this picture is {width}x{height}: no side may be more than {_MAX_ASPECT} times as long as the other"
        )


def _scale(header: PictureHeader, shorter_side: int | None) -> int:
    """Return the flag that makes the decoder leave undone what is not needed; a side's last part of a pixel counts."""
    if shorter_side is None or header.kind is not PictureKind.JPEG:
        return 0
    side = min(header.width, header.height)
    return next((flag for divisor, flag in _REDUCED.items() if -(-side // divisor) >= shorter_side), 0)


def _decode(data: bytes, header: PictureHeader, scale: int) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS | scale)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"no memory to decode a {header}: {error}") from error
        raise ImageUndecodable(Reason.NOT_A_PICTURE, f"the {header} cannot be decoded: {error}") from error
    if pixels is None:
        raise ImageUndecodable(Reason.NOT_A_PICTURE, f"the {header} cannot be decoded: it is damaged")
    return pixels.astype(np.uint8, copy=False)


def _check_layout(data: bytes, layout: RawLayout, max_pixels: int) -> None:
    form, width, height = _RAW_FORMATS.get(layout.pixel_format), layout.width, layout.height
    if form is None:
        raise ImageUnsupported(
            f"pixel format {layout.pixel_format!r} is not taken: send one of {', '.join(_RAW_FORMATS)}"
        )
    if form.subsampled and (width % 2 or height % 2):
        raise ImageUnsupported(f"{layout.pixel_format} of {width}x{height}: send an even width and height")
    _check_size(width, height, max_pixels)
    expected = width * height * form.bits // 8
    if len(data) != expected:
        raise ImageUndecodable(
            Reason.TRUNCATED if len(data) < expected else Reason.NOT_A_PICTURE,
            f"{layout.pixel_format} of {width}x{height} is {expected} bytes, {len(data)} came: "
            f"send the layout as it is, rows without padding",
        )


def _unpack(data: bytes, layout: RawLayout) -> NDArray[np.uint8]:
    form = _RAW_FORMATS[layout.pixel_format]
    shape = (layout.height, layout.width, 3) if form.bits == 24 else (-1, layout.width)
    packed = np.frombuffer(data, np.uint8).reshape(shape)
    # Torch will not share memory that cannot be written, and the bytes belong to the record.
    return packed.copy() if form.to_rgb is None else cv2.cvtColor(packed, form.to_rgb).astype(np.uint8, copy=False)
