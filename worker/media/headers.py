"""Read an encoded picture's kind and size, and check that it is complete. Nothing is decoded here.

A decoder allocates memory for the size that the picture's header claims, and some decoders fill a truncated picture
with grey. So size and completeness are checked first, in the encoded bytes, which takes a few microseconds.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import Final

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason
from worker.media.foreign import is_text, refuse_foreign


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
    """

    kind: PictureKind
    width: int
    height: int

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
    if data.startswith(_JPEG):
        header = _inspect_jpeg(data)
    elif data.startswith(_PNG):
        header = _inspect_png(data)
    elif _WEBP.match(data):
        header = _inspect_webp(data)
    else:
        raise _refusal(data)
    if header.width == 0 or header.height == 0:
        raise _damaged(header.kind, f"its header says {header.width}x{header.height} pixels")
    return header


_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_WEBP: Final = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)


def _refusal(data: bytes) -> ImageUndecodable | ImageUnsupported:
    if _JPEG.startswith(data) or _PNG.startswith(data) or _begins_webp(data):
        return ImageUndecodable(
            Reason.TRUNCATED, f"the record has only {len(data)} bytes, too few to tell what picture this is"
        )
    return refuse_foreign(data)


def _begins_webp(data: bytes) -> bool:
    return len(data) < _RIFF_HEADER + len("WEBP") and b"RIFF".startswith(data[:4]) and b"WEBP".startswith(data[8:])


def _truncated(kind: PictureKind, text: str) -> ImageUndecodable:
    return ImageUndecodable(Reason.TRUNCATED, f"the {kind} is truncated: {text}")


def _damaged(kind: PictureKind, text: str) -> ImageUndecodable:
    return ImageUndecodable(Reason.NOT_A_PICTURE, f"the {kind} is damaged: {text}")


# JPEG (ITU-T T.81, annex B): segments of marker, length and body up to the first scan, then scans up to the end marker.
# Between segments libjpeg skips bytes that are no marker. This code does the same; otherwise the two might read
# different sizes. Restart markers and TEM (01) have no length.
_NEXT_MARKER: Final = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_ENDS: Final = frozenset({0xD8, 0xD9})  # start and end of a picture
_SCAN: Final = 0xDA
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = 0xC2
_HUFFMAN_FRAMES: Final = frozenset({0xC0, 0xC1, _PROGRESSIVE})
_FRAME_FIELDS: Final = Struct(">BHHB")
# For each scan, even one of a few bytes, the decoder processes the whole picture, so an unlimited number of scans would
# keep a worker busy for minutes. Encoders write about ten.
_MAX_SCANS: Final = 100


def _inspect_jpeg(data: bytes) -> PictureHeader:
    kind, code, at = PictureKind.JPEG, 0, 2
    header: PictureHeader | None = None
    components = frame = body = 0
    while code != _SCAN:
        code, body, at = _next_segment(data, at)
        if code in _FRAMES:
            if header is not None or at - body < _FRAME_FIELDS.size:
                raise _damaged(kind, "its frame header is too short, or there are two")
            precision, height, width, components = _FRAME_FIELDS.unpack_from(data, body)
            if code not in _HUFFMAN_FRAMES or precision != 8 or components not in (1, 3):
                raise ImageUnsupported(
                    f"this is a JPEG of process {code - 0xC0}, {precision} bits, {components} components: "
                    f"send baseline or progressive JPEG, 8 bits, grey or YCbCr"
                )
            frame, header = code, PictureHeader(kind, width, height)
    if header is None or body == at:
        raise _damaged(kind, "its pixels come before its size")

    # Search backwards, because the end marker is nearly always at the end. Within a scan these two bytes cannot occur.
    # An EXIF thumbnail has its own end marker, but it lies before `at`.
    if data.rfind(b"\xff\xd9", at) < 0:
        raise _truncated(kind, f"no end marker in its {len(data)} bytes")
    several = frame == _PROGRESSIVE or data[body] < components
    if several and (scans := 1 + data.count(b"\xff\xda", at)) > _MAX_SCANS:
        raise ImageUnsupported(f"this is a JPEG of {scans} scans: send at most {_MAX_SCANS}, encoders write about ten")
    return header


def _next_segment(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the next segment's marker code, and where its body begins and ends."""
    marker = _NEXT_MARKER.search(data, at)
    if marker is None:
        raise _truncated(PictureKind.JPEG, f"no pixels in its {len(data)} bytes")
    start = marker.end()
    code, length = data[start - 1], int.from_bytes(data[start : start + 2])
    end = start + length
    if length < 2 or end > len(data) or code in _ENDS:
        raise _bad_segment(data, code, start, length)
    return code, start + 2, end


def _bad_segment(data: bytes, code: int, start: int, length: int) -> ImageUndecodable:
    if code in _ENDS:
        return _damaged(PictureKind.JPEG, "it ends or starts again before any pixels")
    end = start + max(length, 2)
    if len(data) < end:
        return _truncated(
            PictureKind.JPEG, f"a segment of its header ends at byte {end}, but there are only {len(data)} bytes"
        )
    return _damaged(PictureKind.JPEG, f"a segment of its header is {length} bytes long")


# PNG (W3C, 5): after the signature, chunks of length, type, body and checksum; IHDR first, IEND last.
_CHUNK: Final = Struct(">I4s")
_CHUNK_OVERHEAD: Final = 12
_IHDR: Final = Struct(">I4sII")


def _inspect_png(data: bytes) -> PictureHeader:
    kind, at = PictureKind.PNG, len(_PNG)
    if len(data) < at + _IHDR.size:
        raise _truncated(kind, f"{len(data)} bytes are too few for its header")
    _, first, width, height = _IHDR.unpack_from(data, at)
    if first != b"IHDR":
        raise _damaged(kind, "it does not begin with IHDR")
    name = b""
    while name != b"IEND":
        if len(data) < at + _CHUNK_OVERHEAD:
            raise _truncated(kind, f"no end chunk before byte {at}, and there are only {len(data)} bytes")
        length, name = _CHUNK.unpack_from(data, at)
        if name == b"acTL":
            raise ImageUnsupported("this is an animated PNG: send one picture per record")
        at += _CHUNK_OVERHEAD + length
    return PictureHeader(kind, width, height)


# WebP (RFC 9649): RIFF with the length of the rest, then the first chunk, of one of three kinds.
_RIFF_HEADER: Final = 8
_FIRST_BODY: Final = 20
_SHORTEST: Final = {b"VP8 ": 30, b"VP8L": 25, b"VP8X": 30}
_ANIMATED: Final = 0x02


def _inspect_webp(data: bytes) -> PictureHeader:
    kind = PictureKind.WEBP
    end = _RIFF_HEADER + int.from_bytes(data[4:8], "little")
    if len(data) < end:
        raise _truncated(kind, f"it should end at byte {end}, but there are only {len(data)} bytes")
    if is_text(data):  # of text, RIFF and WEBP are left as they were
        raise refuse_foreign(data)
    name, body = data[12:16], data[_FIRST_BODY:30]
    if end < _SHORTEST.get(name, end + 1):
        raise _damaged(kind, f"its first chunk is {name!r}, in {end} bytes")
    if name == b"VP8X":
        if body[0] & _ANIMATED:
            raise ImageUnsupported("this is an animated WebP: send one picture per record")
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
    elif name == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        width, height = (1 + (packed >> shift & 0x3FFF) for shift in (0, 14))
    else:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return PictureHeader(kind, width, height)
