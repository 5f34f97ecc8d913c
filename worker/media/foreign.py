"""Recognise data that is no picture of an accepted kind, and say what to send instead."""

import re
from typing import Final

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason

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


def refuse_foreign(data: bytes) -> ImageUndecodable | ImageUnsupported:
    """Return the error for data that is no JPEG, PNG or WebP; it says what the data is."""
    for name, pattern in _OTHER_KINDS:
        if pattern.match(data):
            return ImageUnsupported(f"this is {name}: send JPEG, PNG or WebP, or a raw picture with its layout")
    return ImageUndecodable(
        Reason.NOT_A_PICTURE,
        f"no JPEG, PNG or WebP begins with the bytes {data[:8].hex(' ')}; a raw picture needs its layout",
    )
