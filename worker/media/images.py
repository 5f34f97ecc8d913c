"""Decode frames to RGB.

The result equals that of `torchvision.io.decode_image(data, mode="RGB")`, bit for bit:

- Pixels stay as stored, and EXIF orientation is ignored, as by default in torchvision. The rules may ask for upright
  pictures, which torchvision does when it is told to.
- Grey and palette pictures become RGB. Alpha is dropped, not blended: there is no background to blend with.
- 16-bit PNG keeps the high byte of each sample (torchvision keeps all 16 bits; models here take 8), or what the rules
  say.
- Animations are refused, because decoders treat them differently.

The only exception is a JPEG that is decoded at a fraction of its size; the caller asks for that.

JPEG and WebP have no checksum. A damaged JPEG is refused where libjpeg-turbo notices; it cannot notice all damage.
libwebp notices hardly any within the pixels.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import EnvelopeInvalid, ImageTooLarge, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import EncodedFrame, Image, RawLayout
from worker.domain.pictures import Flaw, PictureRules
from worker.media.foreign import accepted_kind
from worker.media.headers import PictureHeader, inspect_picture
from worker.media.jpeg_decoder import decode_jpeg
from worker.media.jpeg_structure import JpegStructure
from worker.media.orientation import orientation_of, turn, turned_size
from worker.media.png_decoder import decode_png
from worker.media.png_structure import PngStructure
from worker.media.raw import check_layout, unpack
from worker.media.refusals import damaged

_FLAGS: Final = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_DIVISORS: Final = (8, 4, 2)
"""By which the decoder of JPEG can divide the sides."""
_RAW_TYPES: Final = frozenset({"image/x-raw", "video/x-raw"})


def limit_opencv_threads(threads: int) -> None:
    """Set how many threads one OpenCV call may use, in the whole process; call before the first picture.

    If several threads decode pictures, one OpenCV thread for each is best.
    """
    cv2.setNumThreads(threads)


def decode_image(frame: EncodedFrame, rules: PictureRules, *, shorter_side: int | None = None) -> Image:
    """Decode one frame.

    A frame with a raw layout is read accordingly. For any other frame the first bytes decide whether it is JPEG, PNG or
    WebP; as in browsers, a content type that contradicts them is ignored.

    Args:
        frame: the picture with its envelope.
        rules: which pictures are taken, and how they are read.
        shorter_side: pixels that are enough for the shorter side. A JPEG is then decoded at the smallest of an eighth,
            a quarter, half and all of its size at which the shorter side has at least this many: its decoder can skip
            the rest of the work.

    Returns:
        RGB, (height, width, 3), uint8, in its own memory, which may be read-only. YUV is read as BT.601, limited range.

    Raises:
        ImageUndecodable: empty, truncated, damaged, or not a picture.
        ImageUnsupported: a kind of picture that is not accepted, or far longer than wide.
        ImageTooLarge: more than `rules.max_pixels`.
        EnvelopeInvalid: the content type is raw and the layout is missing.
        MemoryError: the machine has no memory for a picture within the limit; not the frame's fault.
    """
    found = inspect_frame(frame, rules)
    if isinstance(found, RawLayout):
        return Image(unpack(frame.data, found, rules.bit_depth))
    size, flawed = (found.width, found.height), None
    match found.structure:
        case JpegStructure() as jpeg:
            scaled, accept = _scaled(size, shorter_side), rules.damaged == "accept"
            pixels, flawed = decode_jpeg(frame.data, jpeg, scaled, accept_damage=accept)
        case PngStructure() as png:
            pixels = decode_png(frame.data, png, rules.bit_depth)
        case _:
            pixels = _decode_webp(frame.data, found)
    orientation = stored_orientation(frame.data, found, rules)
    return Image(turn(pixels, orientation), turned_size(size, orientation), flawed)


def stored_orientation(data: bytes, header: PictureHeader, rules: PictureRules) -> int:
    """Return how a picture is to be turned, as EXIF numbers it; 1, which is not at all, unless the rules ask for it."""
    return orientation_of(header.structure.exif(data)) if rules.orientation == "upright" else 1


def inspect_frame(frame: EncodedFrame, rules: PictureRules) -> PictureHeader | RawLayout:
    """Return a picture's header or raw layout, and check all that can be checked before it is decoded.

    Raises:
        ImageUndecodable: empty, truncated, inconsistent, or not a picture.
        ImageUnsupported: a kind of picture that is not accepted, or far longer than wide.
        ImageTooLarge: more than `rules.max_pixels`.
        EnvelopeInvalid: the content type is raw and the layout is missing.
    """
    if not frame.data:
        raise ImageUndecodable(Reason.EMPTY, "the record has no value: send the picture as the value")
    if frame.raw is not None:
        _check_size(frame.raw.width, frame.raw.height, rules)
        check_layout(frame.data, frame.raw)
        return frame.raw
    content_type = (frame.content_type or "").partition(";")[0].strip().lower()
    if content_type in _RAW_TYPES and accepted_kind(frame.data) is None:
        raise EnvelopeInvalid(
            f"header 'content-type' is {content_type!r}, and a raw picture needs its layout: send the headers "
            f"'pixel-format', 'width' and 'height'"
        )
    header = inspect_picture(frame.data)
    _check_size(header.width, header.height, rules)
    return header


def _check_size(width: int, height: int, rules: PictureRules) -> None:
    if width * height > rules.max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} is {width * height} pixels, the limit is {rules.max_pixels}: "
            f"send smaller pictures or raise limits.max_pixels"
        )
    if min(width, height) * rules.max_aspect < max(width, height):
        raise ImageUnsupported(
            f"this picture is {width}x{height}: no side may be more than {rules.max_aspect} times as long as the other"
            f"; send another part of it or raise limits.max_aspect"
        )


def _scaled(size: tuple[int, int], shorter_side: int | None) -> tuple[int, int]:
    """Return the smallest size of a JPEG that suffices; its decoder rounds a reduced side up."""
    if shorter_side is None:
        return size
    divisor = next((each for each in _DIVISORS if -(-min(size) // each) >= shorter_side), 1)
    return -(-size[0] // divisor), -(-size[1] // divisor)


def _decode_webp(data: bytes, header: PictureHeader) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"no memory to decode a {header}: {error}") from error
        raise damaged(str(header), str(error), Flaw.CORRUPT) from error
    if pixels is None:
        raise damaged(str(header), "libwebp cannot decode it", Flaw.CORRUPT)
    return pixels.astype(np.uint8, copy=False)
