"""Read the structure of a WebP. Nothing is decoded here.

RFC 9649: RIFF with the length of the rest, then the first chunk, of one of three kinds.
"""

from dataclasses import dataclass
from typing import Final

from worker.domain.errors import ImageUnsupported
from worker.media.foreign import is_text, refuse_foreign
from worker.media.refusals import damaged, truncated

_RIFF_HEADER: Final = 8
_FIRST_CHUNK: Final = 12
_FIRST_BODY: Final = 20
_CHUNK_HEADER: Final = 8
_SHORTEST: Final = {b"VP8 ": 30, b"VP8L": 25, b"VP8X": 30}
_ANIMATED: Final = 0x02
_EXIF: Final = b"Exif\0\0"


@dataclass(frozen=True, slots=True)
class WebpStructure:
    """What a WebP consists of.

    Attributes:
        width: in pixels.
        height: in pixels.
        end: where the picture ends; bytes behind it do not belong to it.
    """

    width: int
    height: int
    end: int

    def exif(self, data: bytes) -> bytes:
        """Return the EXIF data, which begins with a TIFF header; empty if there is none."""
        at = _FIRST_CHUNK
        while at + _CHUNK_HEADER <= self.end:
            body, length = at + _CHUNK_HEADER, int.from_bytes(data[at + 4 : at + 8], "little")
            if data.startswith(b"EXIF", at):
                return data[body : body + length].removeprefix(_EXIF)
            at = body + length + length % 2
        return b""


def inspect_webp(data: bytes) -> WebpStructure:
    """Read the structure of data that begins as a WebP does.

    Raises:
        ImageUndecodable: it is truncated, inconsistent or text.
        ImageUnsupported: it is an animation.
    """
    end = _RIFF_HEADER + int.from_bytes(data[4:8], "little")
    if len(data) < end:
        raise truncated("WebP", f"it should end at byte {end}, but there are only {len(data)} bytes")
    if is_text(data):  # of text, RIFF and WEBP are left as they were
        raise refuse_foreign(data)
    name, body = data[12:16], data[_FIRST_BODY:30]
    if end < _SHORTEST.get(name, end + 1):
        raise damaged("WebP", f"its first chunk is {name!r}, in {end} bytes")
    if name == b"VP8X":
        if body[0] & _ANIMATED:
            raise ImageUnsupported("this is an animated WebP: send one picture in each record")
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
    elif name == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        width, height = (1 + (packed >> shift & 0x3FFF) for shift in (0, 14))
    else:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return WebpStructure(width, height, end)
