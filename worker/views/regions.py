"""Paints what is where in a picture: the boxes of objects, and areas in the colour of their class."""

import colorsys
from collections.abc import Sequence
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.boxes import Box, TrueBox
from worker.views.layout import text_size
from worker.views.shown import Overlay, ShownBox
from worker.views.text import Colour, Font, shorten

Pixels = NDArray[np.uint8]

BACKGROUND: Final = 0
"""The class that has no colour: the picture is seen there as it is."""

_DARK: Final = (16, 18, 22)
_TRUE: Final = (255, 255, 255)
_GOLDEN: Final = (5**0.5 - 1) / 2
"""Steps of this share of the colour circle never come close to each other."""
_COVER: Final = 0.5
"""How much of the picture an area hides."""
_DASH: Final = 5
"""Length of a dash, in widths of the line."""
_BRIGHT: Final = 110
"""Brightness from which on dark text is read on a colour."""
_PANEL: Final = 3.2
"""Height of the panel at the top, with its margin, in sizes of a box's text."""
_TAG: Final = 0.8
"""Size of a box's text, of the text in panels: there may be many boxes."""


@cache
def colour_of(index: int) -> Colour:
    """Return the colour of a class: always the same, and unlike that of the classes next to it."""
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1, (0.85, 0.6)[index // 2 % 2], 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def paint_overlay(picture: Pixels, overlay: Overlay) -> None:
    """Give the areas of all classes but the background the colour of their class.

    Args:
        picture: RGB, (height, width, 3), uint8; is changed.
        overlay: covers the picture or a part of it.
    """
    classes = cv2.imdecode(np.frombuffer(overlay.png, np.uint8), cv2.IMREAD_GRAYSCALE)
    left, top, right, bottom = _whole(overlay.covers, picture)
    if classes is None or right <= left or bottom <= top:
        return
    scaled = cv2.resize(classes, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    place = picture[top:bottom, left:right]
    colours = np.array([colour_of(index) for index in range(256)], np.uint8)[scaled]
    mixed = cv2.addWeighted(place, 1 - _COVER, colours, _COVER, 0)
    np.copyto(place, mixed, where=(scaled != BACKGROUND)[:, :, None])


def paint_boxes(picture: Pixels, boxes: Sequence[ShownBox], true_boxes: Sequence[TrueBox], font: Font) -> None:
    """Draw boxes in the colour of their class, with name and score, and true boxes as thin dashed lines above them.

    Args:
        picture: RGB, (height, width, 3), uint8; is changed.
        boxes: by falling score; the highest score lies on top.
        true_boxes: what is there.
        font: for the names.
    """
    size = max(8, round(_TAG * text_size(picture.shape[1], picture.shape[0])))
    pen = max(2, round(size / 5))
    for each in reversed(boxes):
        _outline(picture, each.box, colour_of(each.index), pen)
    for true in true_boxes:
        _dashes(picture, true.box, max(1, pen // 3))
    for each in reversed(boxes):
        _tag(picture, each, size, pen, font)


def _outline(picture: Pixels, box: Box, colour: Colour, pen: int) -> None:
    left, top, right, bottom = _whole(box, picture)
    cv2.rectangle(picture, (left, top), (max(left, right - 1), max(top, bottom - 1)), colour, pen)


def _dashes(picture: Pixels, box: Box, pen: int) -> None:
    """Draw a thin line, white and dark in turn: it is seen on any ground, and above a box of the same place."""
    left, top, right, bottom = _whole(box, picture)
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    cv2.rectangle(picture, (left, top), (right, bottom), _DARK, pen)
    for x in range(left, right + 1, 2 * _DASH * pen):
        end = min(x + _DASH * pen, right)
        for y in (top, bottom):
            cv2.line(picture, (x, y), (end, y), _TRUE, pen)
    for y in range(top, bottom + 1, 2 * _DASH * pen):
        end = min(y + _DASH * pen, bottom)
        for x in (left, right):
            cv2.line(picture, (x, y), (x, end), _TRUE, pen)


def _tag(picture: Pixels, found: ShownBox, size: int, pen: int, font: Font) -> None:
    """Write name and score above a box; inside of it where the picture's edge or its first panel leaves no room."""
    height, width = picture.shape[:2]
    left, top, _, bottom = _whole(found.box, picture)
    text = shorten(f"{found.name} {100 * found.score:.0f} %", size, width - size, font)
    wide, tall = font.width(text, size) + size // 2, round(1.3 * size)
    x = max(0, min(left - pen // 2, width - wide))
    panel = round(_PANEL * size)
    y = top - tall if top - tall >= panel else max(min(max(top, panel), bottom - tall), top)
    if wide > width or y + tall > height:
        return
    area = picture[y : y + tall, x : x + wide]
    colour = colour_of(found.index)
    area[:] = colour
    font.write(area, text, (size // 4, round(0.98 * size)), size, _DARK if _brightness(colour) > _BRIGHT else _TRUE)


def _brightness(colour: Colour) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _whole(box: Box, picture: Pixels) -> tuple[int, int, int, int]:
    """Return the pixels that a box reaches from and to, within the picture."""
    height, width = picture.shape[:2]
    left, top = min(max(round(box.left), 0), width - 1), min(max(round(box.top), 0), height - 1)
    return left, top, min(max(round(box.right), left), width), min(max(round(box.bottom), top), height)
