"""Write a JPEG anew without decoding it: with a plain header, or each restart interval as a JPEG of its own."""

import re
from math import ceil
from typing import Final

from worker.media.jpeg_structure import END, PROGRESSIVE, SCAN, JpegStructure

_START: Final = b"\xff\xd8"
_FRAMES: Final = frozenset({0xC0, 0xC1, PROGRESSIVE})
_TABLES: Final = frozenset({0xC4, 0xDB, SCAN})
_RESTART_INTERVAL: Final = 0xDD
_APP0: Final = 0xE0
_APP14: Final = 0xEE
_JFIF: Final = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
_ADOBE_LENGTH: Final = 12
_TRANSFORM: Final = 11
_USUAL_TRANSFORM: Final = {1: 0, 3: 1, 4: 2}  # by the number of components
_RESTART: Final = re.compile(rb"\xff+([\xd0-\xd7])")
_MAX_SIDE: Final = 65_500  # of libjpeg


def plain_jpeg(picture: bytes, jpeg: JpegStructure) -> bytes:
    """Return the JPEG with a header that has only what the decoder needs, and nothing that it would report.

    Args:
        picture: the JPEG, up to its end marker.
        jpeg: its structure.
    """
    return _header(picture, jpeg) + picture[jpeg.pixels_at :]


def restart_intervals(picture: bytes, jpeg: JpegStructure) -> list[tuple[bytes, bytes]] | None:
    """Return each restart interval as a JPEG of its own, and its coded pixels alone.

    Args:
        picture: the JPEG, up to its end marker.
        jpeg: its structure.

    Returns:
        None if restart markers are missing or out of order, or if an interval is too long for a JPEG.
    """
    first, *rest = _RESTART.split(picture[jpeg.pixels_at :].removesuffix(END))
    units = _units_of_intervals(picture, jpeg)
    if [code[0] for code in rest[::2]] != [0xD0 + number % 8 for number in range(len(units) - 1)]:
        return None
    across, down = _unit(picture, jpeg)
    if max(units) * across > _MAX_SIDE:
        return None
    return [
        (_header(picture, jpeg, (count * across, down)) + coded + END, coded)
        for count, coded in zip(units, [first, *rest[1::2]], strict=True)
    ]


def _header(picture: bytes, jpeg: JpegStructure, size: tuple[int, int] | None = None) -> bytes:
    """Return the header; with another size (width, height), and then without restart intervals, if one is given."""
    parts = [_START]
    for code, body, end in jpeg.segments:
        whole = picture[body - 4 : end]
        if code in _TABLES or (code == _RESTART_INTERVAL and size is None):
            parts.append(whole)
        elif code in _FRAMES:
            width, height = size or (jpeg.width, jpeg.height)
            parts.append(whole[:5] + height.to_bytes(2) + width.to_bytes(2) + whole[9:])
        elif code == _APP0 and picture.startswith(b"JFIF\0", body, end):
            parts.append(_JFIF)
        elif code == _APP14 and picture.startswith(b"Adobe", body, end) and end - body >= _ADOBE_LENGTH:
            parts.append(_adobe(whole, jpeg.components))
    return b"".join(parts)


def _adobe(segment: bytes, components: int) -> bytes:
    at = 4 + _TRANSFORM
    known = segment[at] in _USUAL_TRANSFORM.values()
    return segment if known else segment[:at] + bytes([_USUAL_TRANSFORM[components]]) + segment[at + 1 :]


def _units_of_intervals(picture: bytes, jpeg: JpegStructure) -> list[int]:
    """Return how many units, which are the smallest pieces of a scan, each restart interval has."""
    across, down = _unit(picture, jpeg)
    total = ceil(jpeg.width / across) * ceil(jpeg.height / down)
    each = next(
        (int.from_bytes(picture[body:end]) for code, body, end in jpeg.segments[::-1] if code == _RESTART_INTERVAL), 0
    )
    if each == 0:
        return [total]
    return [min(each, total - done) for done in range(0, total, each)]


def _unit(picture: bytes, jpeg: JpegStructure) -> tuple[int, int]:
    """Return the (width, height) of a unit in pixels."""
    if jpeg.components == 1:
        return 8, 8
    sampling = jpeg.frame(picture)[7::3]
    return 8 * max(each >> 4 for each in sampling), 8 * max(each & 15 for each in sampling)
