"""Read an encoded picture's kind and size, and check that it is complete. Nothing is decoded here.

A decoder allocates memory for the size that the picture's header claims, and some decoders fill a truncated picture
with grey. So size and completeness are checked first, in the encoded bytes, which takes a few microseconds. Whether a
JPEG without an end marker is complete is left to its decoder.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason
from worker.media.foreign import refuse_foreign
from worker.media.jpeg_structure import JpegStructure, inspect_jpeg
from worker.media.png_structure import SIGNATURE, PngStructure, inspect_png
from worker.media.refusals import damaged
from worker.media.webp_structure import WebpStructure, inspect_webp


class PictureKind(StrEnum):
    """The accepted kinds of encoded picture; the value is for people."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The contents of the picture's own header.

    Attributes:
        width: in pixels, as stored, at least 1; EXIF orientation is ignored.
        height: in pixels, as stored, at least 1.
        structure: what the picture consists of.
    """

    kind: PictureKind
    width: int
    height: int
    structure: JpegStructure | PngStructure | WebpStructure

    def __str__(self) -> str:
        return f"{self.kind} of {self.width}x{self.height} pixels"


def inspect_picture(data: bytes) -> PictureHeader:
    """Read the kind and the size of a picture, and check that its end is present.

    Only the bytes count. Bytes after a complete picture are ignored, because cameras add padding.

    Args:
        data: the encoded picture.

    Raises:
        ImageUndecodable: the picture is truncated or inconsistent, or the data is not a picture.
        ImageUnsupported: another kind of picture (GIF, TIFF, HEIC, ...), an animation, or a JPEG of a rare process.
    """
    kind, found = _inspect(data)
    if found.width == 0 or found.height == 0:
        raise damaged(kind, f"its header says {found.width}x{found.height} pixels")
    return PictureHeader(kind, found.width, found.height, found)


def _inspect(data: bytes) -> tuple[PictureKind, JpegStructure | PngStructure | WebpStructure]:
    if data.startswith(_JPEG):
        return PictureKind.JPEG, inspect_jpeg(data)
    if data.startswith(SIGNATURE):
        return PictureKind.PNG, inspect_png(data)
    if _WEBP.match(data):
        return PictureKind.WEBP, inspect_webp(data)
    raise _refusal(data)


_JPEG: Final = b"\xff\xd8\xff"
_WEBP: Final = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)


def _refusal(data: bytes) -> ImageUndecodable | ImageUnsupported:
    if _JPEG.startswith(data) or SIGNATURE.startswith(data) or _begins_webp(data):
        return ImageUndecodable(
            Reason.TRUNCATED,
            f"the record has only {len(data)} bytes, too few to tell what picture this is: send the whole picture",
        )
    return refuse_foreign(data)


def _begins_webp(data: bytes) -> bool:
    return len(data) < len("RIFF....WEBP") and b"RIFF".startswith(data[:4]) and b"WEBP".startswith(data[8:])
