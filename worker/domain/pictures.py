"""How pictures are read, and what a decoder finds wrong with one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class Flaw(StrEnum):
    """What is wrong with an encoded picture; the `flaw` label in the metrics."""

    PREMATURE_END = "premature-end"
    MISSING_SCANS = "missing-scans"
    MERGED = "merged-frames"
    CORRUPT = "corrupt-data"
    EXTRANEOUS = "extraneous-bytes"
    ODD_HEADER = "odd-header"
    NO_END = "no-end-marker"


class Flawed(NamedTuple):
    """A flaw of a picture that was decoded, in the decoder's words."""

    flaw: Flaw
    text: str


@dataclass(frozen=True, slots=True)
class PictureRules:
    """Which pictures are taken, and how they are read.

    Attributes:
        max_pixels: width times height of the largest picture; checked before memory is allocated for it.
        max_aspect: largest ratio of the longer to the shorter side. To resize the shorter side of a thinner picture
            could take any amount of memory.
        damaged: what becomes of a JPEG whose decoder reports damage.
        orientation: whether a picture is turned as its EXIF data says, or left as it is stored.
        bit_depth: bits that the samples of a 16-bit PNG use, 9 to 16, counted from the lowest; None if it is not
            known.
    """

    max_pixels: int = 64_000_000
    max_aspect: int = 32
    damaged: Literal["refuse", "accept"] = "refuse"
    orientation: Literal["stored", "upright"] = "stored"
    bit_depth: int | None = None
