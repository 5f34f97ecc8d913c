"""Decode frames to RGB with OpenCV.

The result equals, bit for bit, that of `torchvision.io.decode_image(data, mode="RGB")`:

- Pixels stay as stored. EXIF orientation is ignored, as by default in torchvision: otherwise a model would see the
  pictures of one camera rotated and those of another not, because only one of them writes EXIF.
- Grey and palette pictures become RGB. Alpha is dropped, not blended: there is no background to blend with.
- 16-bit PNG keeps the high byte of each sample (torchvision keeps all 16 bits; models here take 8).
- CMYK JPEG and animations are refused, because decoders treat them differently.

The only exception is a JPEG that is decoded at a fraction of its size; the caller asks for that.

JPEG and WebP have no checksum. If the pixel data is damaged but the structure around it is intact, the damage cannot be
detected: the decoder guesses the pixels. libjpeg and libpng write a line to standard error for a damaged picture;
OpenCV's log level does not affect them.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import EnvelopeInvalid, ImageTooLarge, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import EncodedFrame, Image, RawLayout
from worker.media.headers import PictureHeader, PictureKind, inspect_picture

_FLAGS: Final = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
# By the divisor of the sides, largest first. Combined with a colour flag, these set only the scale; the REDUCED_COLOR
# flags would mean BGR.
_REDUCED: Final = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
_MAX_ASPECT: Final = 32
"""Longest side divided by the shortest. Resizing the shorter side of a thinner picture could take any amount of
memory."""
_RAW_TYPES: Final = frozenset({"image/x-raw", "video/x-raw"})


class _RawFormat(NamedTuple):
    bits: int  # per pixel, all planes together
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

    If several threads decode pictures, one OpenCV thread for each is best.
    """
    cv2.setNumThreads(threads)


def decode_image(frame: EncodedFrame, *, max_pixels: int, shorter_side: int | None = None) -> Image:
    """Decode one frame.

    A frame with a raw layout is read accordingly. For any other frame the first bytes decide whether it is JPEG, PNG or
    WebP; as in browsers, a content type that contradicts them is ignored.

    Args:
        frame: the picture with its envelope.
        max_pixels: width times height of the largest accepted picture; checked before memory is allocated for it.
        shorter_side: pixels that are enough for the shorter side. A JPEG is then decoded at the smallest of an eighth,
            a quarter, half and all of its size at which the shorter side has at least this many: its decoder can skip
            the rest of the work.

    Returns:
        RGB, (height, width, 3), uint8, in its own memory. YUV is read as BT.601, limited range.

    Raises:
        ImageUndecodable: empty, truncated, damaged, or not a picture.
        ImageUnsupported: a kind of picture that is not accepted, or far longer than wide.
        ImageTooLarge: more than `max_pixels`.
        EnvelopeInvalid: the content type is raw and the layout is missing.
        MemoryError: the machine has no memory for a picture within the limit; not the frame's fault.
    """
    found = inspect_frame(frame, max_pixels=max_pixels)
    if isinstance(found, RawLayout):
        return Image(_unpack(frame.data, found))
    return Image(_decode(frame.data, found, _scale(found, shorter_side)), (found.width, found.height))


def inspect_frame(frame: EncodedFrame, *, max_pixels: int) -> PictureHeader | RawLayout:
    """Return a picture's header or raw layout, and check all that can be checked before it is decoded.

    Raises:
        ImageUndecodable: empty, truncated, inconsistent, or not a picture.
        ImageUnsupported: a kind of picture that is not accepted, or far longer than wide.
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
    """Return the flag for the smallest scale that suffices; the decoder rounds a reduced side up."""
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
            f"pixel format {layout.pixel_format!r} is not supported: send one of {', '.join(_RAW_FORMATS)}"
        )
    if form.subsampled and (width % 2 or height % 2):
        raise ImageUnsupported(f"{layout.pixel_format} of {width}x{height}: send an even width and height")
    _check_size(width, height, max_pixels)
    expected = width * height * form.bits // 8
    if len(data) != expected:
        raise ImageUndecodable(
            Reason.TRUNCATED if len(data) < expected else Reason.NOT_A_PICTURE,
            f"{layout.pixel_format} of {width}x{height} is {expected} bytes, but the record has {len(data)}: "
            f"send the true layout, and rows without padding",
        )


def _unpack(data: bytes, layout: RawLayout) -> NDArray[np.uint8]:
    form = _RAW_FORMATS[layout.pixel_format]
    shape = (layout.height, layout.width, 3) if form.bits == 24 else (-1, layout.width)
    packed = np.frombuffer(data, np.uint8).reshape(shape)
    # Torch does not share read-only memory, and the bytes belong to the record.
    return packed.copy() if form.to_rgb is None else cv2.cvtColor(packed, form.to_rgb).astype(np.uint8, copy=False)
