"""Read the structure of a PNG: its chunks. Nothing is decoded here.

W3C, PNG specification, clause 5: after the signature, chunks of length, type, body and checksum; IHDR first, IEND last.
"""

import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from worker.domain.errors import ImageUnsupported
from worker.domain.pictures import Flaw
from worker.media.refusals import damaged, truncated

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_CHUNK: Final = Struct(">I4s")
_CHUNK_OVERHEAD: Final = 12
_CHECKSUM: Final = 4
_IHDR: Final = Struct(">II5B")
_PALETTE_COLOUR: Final = 3
_DEPTHS: Final = {
    0: frozenset({1, 2, 4, 8, 16}),
    2: frozenset({8, 16}),
    _PALETTE_COLOUR: frozenset({1, 2, 4, 8}),
    4: frozenset({8, 16}),
    6: frozenset({8, 16}),
}
"""Bits of a sample, by the number of the colour type."""
_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_ANCILLARY: Final = 0x20  # a bit of the first letter: the picture can be decoded without this chunk


class Chunk(NamedTuple):
    """A chunk: its type, and where it begins and ends, length and checksum included."""

    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PngStructure:
    """What a PNG consists of.

    Attributes:
        width: in pixels.
        height: in pixels.
        depth: bits of a sample.
        chunks: up to the end chunk.
    """

    width: int
    height: int
    depth: int
    chunks: tuple[Chunk, ...]

    def exif(self, data: bytes) -> bytes:
        """Return the EXIF data, which begins with a TIFF header; empty if there is none."""
        found = (data[start + 8 : end - _CHECKSUM] for name, start, end in self.chunks if name == b"eXIf")
        return next(found, b"")

    def needed(self, data: bytes) -> bytes:
        """Return the PNG with those chunks alone that its pixels need, and check their checksums.

        Raises:
            ImageUndecodable: a checksum is wrong.
        """
        kept = [SIGNATURE]
        for name, start, end in self.chunks:
            if name not in _NEEDED:
                continue
            if zlib.crc32(data[start + 4 : end - _CHECKSUM]) != int.from_bytes(data[end - _CHECKSUM : end]):
                what = f"PNG of {self.width}x{self.height} pixels"
                raise damaged(what, f"the checksum of its chunk {name.decode()} is wrong", Flaw.CORRUPT)
            kept.append(data[start:end])
        return b"".join(kept)


def inspect_png(data: bytes) -> PngStructure:
    """Read the structure of a PNG that begins with the signature.

    Raises:
        ImageUndecodable: it is truncated or inconsistent.
        ImageUnsupported: it is an animation, or nobody knows how to decode it.
    """
    at = len(SIGNATURE)
    if len(data) < at + _CHUNK.size + _IHDR.size:
        raise truncated("PNG", f"{len(data)} bytes are too few for its header")
    length, first = _CHUNK.unpack_from(data, at)
    if (first, length) != (b"IHDR", _IHDR.size):
        raise damaged("PNG", "it does not begin with IHDR")
    width, height, depth, colour, *methods = _IHDR.unpack_from(data, at + _CHUNK.size)
    if depth not in _DEPTHS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise damaged("PNG", "its header names an unknown kind of pixels, compression or filter", Flaw.CORRUPT)
    chunks = list[Chunk]()
    while not chunks or chunks[-1].name != b"IEND":
        if len(data) < at + _CHUNK_OVERHEAD:
            raise truncated("PNG", f"no end chunk before byte {at}, and there are only {len(data)} bytes")
        length, name = _CHUNK.unpack_from(data, at)
        _check_name(name)
        chunks.append(Chunk(name, at, at + _CHUNK_OVERHEAD + length))
        at = chunks[-1].end
    if len(data) < at:
        raise truncated("PNG", f"it should end at byte {at}, but there are only {len(data)} bytes")
    _check_order([chunk.name for chunk in chunks], has_palette=colour == _PALETTE_COLOUR)
    return PngStructure(width, height, depth, tuple(chunks))


def _check_name(name: bytes) -> None:
    if name == b"acTL":
        raise ImageUnsupported("this is an animated PNG: send one picture in each record")
    if name not in _NEEDED and not name[0] & _ANCILLARY:
        raise damaged("PNG", f"it has an unknown chunk {name!r} that its pixels need", Flaw.CORRUPT)


def _check_order(names: list[bytes], *, has_palette: bool) -> None:
    if b"IDAT" not in names:
        raise damaged("PNG", "it has no pixels", Flaw.CORRUPT)
    if has_palette and b"PLTE" not in names[: names.index(b"IDAT")]:
        raise damaged("PNG", "its palette is missing", Flaw.CORRUPT)
