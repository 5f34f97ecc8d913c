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

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import EnvelopeInvalid, ImageTooLarge, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import EncodedFrame, Image, RawLayout
from worker.media.headers import PictureHeader, PictureKind, inspect_picture
from worker.media.raw import check_layout, unpack

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
        return Image(unpack(frame.data, found))
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
        _check_size(frame.raw.width, frame.raw.height, max_pixels)
        check_layout(frame.data, frame.raw)
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
