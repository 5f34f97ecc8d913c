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

_OTHER_KINDS: Final = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("a GIF", rb"GIF8[79]a"),
        ("a BMP", rb"BM.{4}\0{4}"),  # many texts begin with these two letters, so the reserved zeros must match too
        ("a TIFF", rb"II\*\0|MM\0\*"),
        ("an AVIF", rb".{4}ftypavi[fs]"),
        ("a HEIC", rb".{4}ftyp(he|mif1|msf1)"),
        ("an MP4 video", rb".{4}ftyp"),
        ("an AVI video", rb"RIFF.{4}AVI "),
        ("an H.264 or H.265 stream", rb"\0{2,3}\x01"),
        ("a JPEG XL", rb"\xff\x0a|\0{3}\x0cJXL "),
        ("a JPEG 2000", rb"\xff\x4f\xff\x51|\0{3}\x0cjP  "),
    )
)


def _refusal(data: bytes) -> ImageUndecodable | ImageUnsupported:
    if _JPEG.startswith(data) or SIGNATURE.startswith(data) or _begins_webp(data):
        return ImageUndecodable(
            Reason.TRUNCATED,
            f"the record has only {len(data)} bytes, too few to tell what picture this is: send the whole picture",
        )
    for name, pattern in _OTHER_KINDS:
        if pattern.match(data):
            return ImageUnsupported(f"this is {name}: send JPEG, PNG or WebP, or a raw picture with its layout")
    return ImageUndecodable(
        Reason.NOT_A_PICTURE,
        f"no JPEG, PNG or WebP begins with the bytes {data[:8].hex(' ')}: send one of these, or a raw picture with its "
        f"layout",
    )


def _begins_webp(data: bytes) -> bool:
    return len(data) < len("RIFF....WEBP") and b"RIFF".startswith(data[:4]) and b"WEBP".startswith(data[8:])
