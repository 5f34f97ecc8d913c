"""Text on a picture: its width in pixels, how it is shortened to a width, and how it is written.

OpenCV 5 brings a font with Latin, Greek, Cyrillic, Arabic and Chinese letters. Older ones only have pen strokes for
ASCII: there, accents are left out, and a letter that is no ASCII without its accent becomes a question mark.
"""

import unicodedata
from functools import cache
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

ELLIPSIS: Final = "…"


class Font(Protocol):
    """What can measure text and write it; sizes are in pixels, of the letters from top to bottom."""

    def width(self, text: str, size: int) -> int:
        """Return how many pixels the text is wide."""

    def write(self, pixels: Pixels, text: str, start: tuple[int, int], size: int, colour: Colour) -> None:
        """Write the text into the pixels, from (x, y) of its baseline on; what is outside of them is cut off."""


class OutlineFont:
    """The font that comes with OpenCV 5."""

    def __init__(self) -> None:
        self._face = cv2.FontFace("sans")

    def width(self, text: str, size: int) -> int:
        """Return how many pixels the text is wide."""
        return int(cv2.getTextSize((0, 0), text, (0, 0), self._face, size, _WEIGHT)[2])

    def write(self, pixels: Pixels, text: str, start: tuple[int, int], size: int, colour: Colour) -> None:
        """Write the text into the pixels, from (x, y) of its baseline on; what is outside of them is cut off."""
        cv2.putText(pixels, text, start, colour, self._face, size, _WEIGHT)


class StrokeFont:
    """The strokes that every OpenCV has, for ASCII."""

    def width(self, text: str, size: int) -> int:
        """Return how many pixels the text is wide."""
        return cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size * _STROKE_SCALE, _pen(size))[0][0]

    def write(self, pixels: Pixels, text: str, start: tuple[int, int], size: int, colour: Colour) -> None:
        """Write the text into the pixels, from (x, y) of its baseline on; what is outside of them is cut off."""
        scale = size * _STROKE_SCALE
        cv2.putText(pixels, _ascii(text), start, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, _pen(size), cv2.LINE_AA)


@cache
def default_font() -> Font:
    """Return the best font of this OpenCV."""
    return OutlineFont() if hasattr(cv2, "FontFace") else StrokeFont()


def shorten(text: str, size: int, width: int, font: Font) -> str:
    """Return the text in one line, cut with an ellipsis to at most `width` pixels; "" if not even that fits."""
    line = "".join(each if each.isprintable() else " " for each in text)
    if font.width(line, size) <= width:
        return line
    fits, too_long = 0, len(line)  # numbers of letters; wider with each letter, so the limit is found by halving
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.width(_cut(line, middle), size) <= width:
            fits = middle
        else:
            too_long = middle
    short = _cut(line, fits)
    return short if font.width(short, size) <= width else ""


def _cut(line: str, letters: int) -> str:
    return line[:letters].rstrip() + ELLIPSIS


def _ascii(text: str) -> str:
    """Return the text without accents, and with question marks for what has no ASCII letter."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT))
    return "".join(each for each in plain if not unicodedata.combining(each)).encode("ascii", "replace").decode()


def _pen(size: int) -> int:
    return max(1, round(size / 14))


_SPELT: Final = str.maketrans({"ß": "ss", "≥": ">=", "…": "..."})
_WEIGHT: Final = 500
"""Between regular and bold: light letters on a dark ground."""
_STROKE_SCALE: Final = 1 / 30
"""OpenCV's scale 1 has capitals of 21 pixels; an outline font of size 30 has the same."""
