"""Broken pictures, made of whole ones: each kind once as a function of whole frames and of a source of chance."""

import random
import re
import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from worker.domain.pictures import Flaw
from worker.media.jpeg_structure import JpegStructure, inspect_jpeg

END: Final = b"\xff\xd9"
PACKET: Final = 188  # bytes of an MPEG transport packet

Break = Callable[[bytes, bytes, random.Random], bytes]
"""Makes a broken picture of a whole frame, the camera's next frame, and a source of chance."""


class Harmless(NamedTuple):
    """What cameras write that costs no pixels: how to make it, and which flaw the decoder reports."""

    make: Break
    flaw: Flaw | None


def scan_of(jpeg: bytes) -> JpegStructure:
    """Return the structure of a whole JPEG."""
    return inspect_jpeg(jpeg)


def _place(jpeg: bytes, rng: random.Random, *, margin: int = 400) -> int:
    """Return a place within the pixels, away from both ends and from stuffed bytes and markers."""
    begins = scan_of(jpeg).pixels_at + margin
    while True:
        at = rng.randrange(begins, len(jpeg) - margin)
        if 0xFF not in jpeg[at - 2 : at + 2]:
            return at


def _hole(jpeg: bytes, _: bytes, rng: random.Random) -> bytes:
    at = _place(jpeg, rng, margin=1500)
    return jpeg[:at] + jpeg[at + rng.choice([1, 5, 7]) * PACKET :]


def _repeated(jpeg: bytes, _: bytes, rng: random.Random) -> bytes:
    at = _place(jpeg, rng, margin=1500)
    return jpeg[: at + 7 * PACKET] + jpeg[at:]


def _marker(jpeg: bytes, _: bytes, rng: random.Random) -> bytes:
    at = _place(jpeg, rng)
    return jpeg[:at] + b"\xff\x87" + jpeg[at + 2 :]


def _tail_of_another(jpeg: bytes, other: bytes, rng: random.Random) -> bytes:
    at = _place(jpeg, rng)
    return jpeg[:at] + other[_place(other, rng) :]


def with_comment(jpeg: bytes, *, said: int, padding: int) -> bytes:
    """Return a JPEG with a comment that has more zeros than its length says, as Dahua's cameras write it."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + said) + b"c" * said + bytes(padding) + jpeg[2:]


def _with_revision(jpeg: bytes) -> bytes:
    at = jpeg.index(b"JFIF\0") + 5
    return jpeg[:at] + b"\x09" + jpeg[at + 1 :]


def _with_adobe(jpeg: bytes) -> bytes:
    (_, _, end), *_ = scan_of(jpeg).segments  # JFIF, which would say the colours
    return jpeg[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + jpeg[end:]


def restart_markers(jpeg: bytes) -> list[int]:
    """Return where the restart markers of a JPEG lie."""
    begins = scan_of(jpeg).pixels_at
    return [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", jpeg) if found.start() >= begins]


def with_stray(jpeg: bytes, rng: random.Random, *, most: int = 8) -> bytes:
    """Return a JPEG with stray bytes before several restart markers and the end marker, as Logitech's cameras write."""
    for at in sorted([*rng.sample(restart_markers(jpeg), 5), len(jpeg) - 2], reverse=True):
        jpeg = jpeg[:at] + bytes(rng.randrange(1, 255) for _ in range(rng.randint(1, most))) + jpeg[at:]
    return jpeg


def without_tables(jpeg: bytes) -> bytes:
    """Return a JPEG without its Huffman tables, as cameras send it in MJPEG; they must be the usual ones."""
    for code, body, end in reversed(scan_of(jpeg).segments):
        if code == 0xC4:
            jpeg = jpeg[: body - 4] + jpeg[end:]
    return jpeg


def _half(jpeg: bytes) -> bytes:
    begins = scan_of(jpeg).pixels_at
    return jpeg[: (begins + len(jpeg)) // 2]


def _restarts_without_one(jpeg: bytes) -> bytes:
    first, second, *_ = restart_markers(jpeg)
    return jpeg[: first + 2] + jpeg[second + 2 :]


def _restarts_swapped(jpeg: bytes) -> bytes:
    first, second, third, *_ = restart_markers(jpeg)
    return jpeg[:first] + jpeg[second:third] + jpeg[first:second] + jpeg[third:]


def _stray_and_hole(jpeg: bytes, rng: random.Random) -> bytes:
    """A harmless report comes first: the decoder does not tell the second."""
    places = restart_markers(jpeg)
    late = places[len(places) // 2]
    cut = jpeg[: late + 40] + jpeg[places[len(places) // 2 + 1] :]
    at = places[1]
    return cut[:at] + rng.randbytes(2).replace(b"\xff", b"\0") + cut[at:]


SURE: Final[Mapping[str, Break]] = {
    "cut, then the next frame": lambda jpeg, other, rng: jpeg[: _place(jpeg, rng)] + other,
    "whole but for its end, then the next frame": lambda jpeg, other, _: jpeg[:-2] + other,
    "end marker after half": lambda jpeg, _, __: _half(jpeg) + END,
    "end marker after nearly all": lambda jpeg, _, __: jpeg[:-40] + END,
    "no pixels": lambda jpeg, _, __: jpeg[: scan_of(jpeg).pixels_at] + END,
    "an unknown marker": _marker,
    "half, filled up with zeros": lambda jpeg, _, __: _half(jpeg) + bytes(len(jpeg)),
    "half, zeros, and an end marker": lambda jpeg, _, __: _half(jpeg) + bytes(len(jpeg)) + END,
    "half, filled up with FF": lambda jpeg, _, __: _half(jpeg) + b"\xff" * len(jpeg),
    "a wrong comment, and half": lambda jpeg, _, __: with_comment(_half(jpeg), said=4, padding=608) + END,
    "an unknown revision, and half": lambda jpeg, _, __: _with_revision(_half(jpeg)) + END,
    "an unknown transform, and half": lambda jpeg, _, __: _with_adobe(_half(jpeg)) + END,
    "many bytes too many": lambda jpeg, _, rng: jpeg[:-2] + rng.randbytes(300).replace(b"\xff", b"\1") + END,
}
"""Broken JPEGs whose damage the decoder cannot miss."""

SURE_WITH_RESTARTS: Final[Mapping[str, Break]] = {
    "a restart interval lost": lambda jpeg, _, __: _restarts_without_one(jpeg),
    "restart intervals swapped": lambda jpeg, _, __: _restarts_swapped(jpeg),
    "stray bytes, and a hole behind them": lambda jpeg, _, rng: _stray_and_hole(jpeg, rng),
    "stray bytes, and a lost interval": lambda jpeg, _, rng: with_stray(_restarts_without_one(jpeg), rng),
    "many stray bytes": lambda jpeg, _, rng: with_stray(jpeg, rng, most=3).replace(
        jpeg[restart_markers(jpeg)[9] :][:2], b"\1" * 60 + jpeg[restart_markers(jpeg)[9] :][:2], 1
    ),
}
"""Those of JPEGs with restart markers."""

LIKELY: Final[Mapping[str, Break]] = {
    "a hole of lost packets": _hole,
    "packets sent twice": _repeated,
    "the tail of another frame": _tail_of_another,
}
"""Broken JPEGs whose decoder may find its way back, so that as many blocks come out as there must be."""

HARMLESS: Final[Mapping[str, Harmless]] = {
    "whole": Harmless(lambda jpeg, _, __: jpeg, None),
    "zeros behind the end": Harmless(lambda jpeg, _, __: jpeg + bytes(4096), None),
    "FF behind the end": Harmless(lambda jpeg, _, __: jpeg + b"\xff" * 4096, None),
    "a trailer": Harmless(lambda jpeg, _, __: jpeg + b"dhav" + bytes(range(200)), None),
    "the next frame behind the end": Harmless(lambda jpeg, other, _: jpeg + other, None),
    "no Huffman tables": Harmless(lambda jpeg, _, __: without_tables(jpeg), None),
    "fill bytes before the end marker": Harmless(lambda jpeg, _, __: jpeg[:-2] + b"\xff" * 9 + END, None),
    "a wrong length of a comment": Harmless(
        lambda jpeg, _, __: with_comment(jpeg, said=40, padding=608), Flaw.ODD_HEADER
    ),
    "a byte between segments": Harmless(lambda jpeg, _, __: jpeg[:20] + b"\0" + jpeg[20:], Flaw.ODD_HEADER),
    "an unknown JFIF revision": Harmless(lambda jpeg, _, __: _with_revision(jpeg), Flaw.ODD_HEADER),
    "an unknown Adobe transform": Harmless(lambda jpeg, _, __: _with_adobe(jpeg), Flaw.ODD_HEADER),
    "some bytes before the end marker": Harmless(
        lambda jpeg, _, rng: jpeg[:-2] + rng.randbytes(9).replace(b"\xff", b"\1") + END, Flaw.EXTRANEOUS
    ),
    "zeros before the end marker": Harmless(lambda jpeg, _, __: jpeg[:-2] + bytes(500) + END, Flaw.EXTRANEOUS),
    "no end marker": Harmless(lambda jpeg, _, __: jpeg[:-2], Flaw.NO_END),
    "half an end marker": Harmless(lambda jpeg, _, __: jpeg[:-1], Flaw.NO_END),
    "zeros instead of the end marker": Harmless(lambda jpeg, _, __: jpeg[:-2] + bytes(500), Flaw.EXTRANEOUS),
    "FF instead of the end marker": Harmless(lambda jpeg, _, __: jpeg[:-2] + b"\xff" * 500, Flaw.NO_END),
}
"""JPEGs that no pixel is missing of."""
