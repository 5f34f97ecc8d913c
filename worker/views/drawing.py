"""Draws what is known of a picture on it: boxes and areas, and above them the panels, which say what it is."""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.views.layout import Bar, Panel, Row, Tone, bar_gap, bar_height, layout, padding, parts, row_height
from worker.views.regions import BACKGROUND, colour_of, paint_boxes, paint_overlay
from worker.views.shown import Facts
from worker.views.text import Colour, Font, default_font

Pixels = NDArray[np.uint8]

_LIGHT: Final = (245, 245, 245)
_DARK: Final = (16, 18, 22)
_LOUD: Final = (255, 196, 0)
_GROOVE: Final = (92, 96, 104)
_TONES: Final[Mapping[Tone, Colour]] = {
    Tone.PLAIN: (110, 190, 255),
    Tone.RIGHT: (105, 225, 125),
    Tone.WRONG: (255, 125, 115),
    Tone.EVENT: _LOUD,
}
_COVER: Final = 0.76
"""How much of the picture a dark box hides: light text is read on white snow, and the snow is still seen."""


def draw(pixels: Pixels, facts: Facts, font: Font | None = None, *, size: tuple[int, int] | None = None) -> Pixels:
    """Return the picture with the facts on it.

    Args:
        pixels: RGB, (height, width, 3), uint8, as it was sent; is not changed.
        facts: what is known of it.
        font: None takes the best there is.
        size: (width, height) of the picture that is returned, fitted as `fit` does; None leaves it as it is.

    Returns:
        A new picture, with the same pixels outside of the panels, boxes and areas.

    Raises:
        ValueError: the pixels are no RGB picture.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"a picture is (height, width, 3) uint8, not {pixels.shape} {pixels.dtype}")
    drawn, font = pixels.copy(), font or default_font()
    if facts.overlay is not None:
        paint_overlay(drawn, facts.overlay)
    if facts.boxes or facts.true_boxes:
        paint_boxes(drawn, facts.boxes, facts.true_boxes, font)
    if size is not None:
        drawn = fit(drawn, *size)
    height, width = drawn.shape[:2]
    for panel in layout(width, height, facts, font):
        _paint(drawn, panel, font)
    return drawn


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return an RGB picture, (h, w, 3), at the size of (height, width, 3): scaled as a whole, and centred on black."""
    tall, wide = pixels.shape[:2]
    if (wide, tall) == (width, height):
        return pixels
    scale = min(width / wide, height / tall)
    size = max(1, round(wide * scale)), max(1, round(tall * scale))
    scaled = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    fitted = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    fitted[top : top + size[1], left : left + size[0]] = scaled
    return fitted


def _paint(picture: Pixels, panel: Panel, font: Font) -> None:
    """Paint a panel in memory of its own, which nothing can leave, and put it into the picture."""
    place = picture[panel.y : panel.bottom, panel.x : panel.x + panel.width]
    ground = np.full_like(place, _LOUD if panel.loud else _DARK)
    cover = 1.0 if panel.loud else _COVER
    box = np.asarray(cv2.addWeighted(place, 1 - cover, ground, cover, 0), np.uint8)
    pad = padding(panel.size)
    inner, top = panel.width - 2 * pad, pad // 2
    for row in panel.rows:
        _write(box[top : top + row_height(row, panel.size), pad : pad + inner], row, panel, font)
        top += row_height(row, panel.size)
    place[:] = box


def _write(area: Pixels, row: Row, panel: Panel, font: Font) -> None:
    size, width = panel.size, area.shape[1]
    coloured = row.tone is not Tone.PLAIN
    mark = round(1.1 * size) if row.tone in {Tone.RIGHT, Tone.WRONG} or row.index is not None else 0
    text, value = parts(row, size, width - mark, font)
    baseline = round(1.02 * size)
    colour = _DARK if panel.loud else _TONES[row.tone] if coloured else _LIGHT
    if row.index is not None:
        _swatch(area, row.index, size, baseline)
    elif mark:
        _mark(area, row.tone, size, baseline)
    font.write(area, text, (mark, baseline), size, _LIGHT if mark else colour)
    font.write(area, value, (width - font.width(value, size), baseline), size, colour)
    if row.bar is not None:
        _bar(area, row.bar, size, _TONES[row.tone] if row.index is None else _bar_colour(row.index))


def _swatch(area: Pixels, index: int, size: int, baseline: int) -> None:
    """Fill a square, as high as a capital, with the colour of a class; that of the background stays empty."""
    side = round(0.7 * size)
    filled = colour_of(index) if index != BACKGROUND else _GROOVE
    cv2.rectangle(area, (0, baseline - side), (side, baseline), filled, -1 if index != BACKGROUND else 1)


def _mark(area: Pixels, tone: Tone, size: int, baseline: int) -> None:
    """Draw a tick or a cross, as high as a capital: not every font has them."""
    tick = [[(0.05, 0.4), (0.3, 0.08), (0.8, 0.7)]]
    cross = [[(0.1, 0.05), (0.75, 0.7)], [(0.1, 0.7), (0.75, 0.05)]]
    lines = [
        np.array([(x * size, baseline - y * size) for x, y in line]) for line in (tick if tone is Tone.RIGHT else cross)
    ]
    pen = max(1, round(size / 8))
    cv2.polylines(area, [(line * 16).astype(np.int32) for line in lines], False, _TONES[tone], pen, cv2.LINE_AA, 4)


def _bar_colour(index: int) -> Colour:
    return colour_of(index) if index != BACKGROUND else _LIGHT


def _bar(area: Pixels, bar: Bar, size: int, colour: Colour) -> None:
    """Fill a bar at the bottom of a row's area from the left, in proportion; the mark stands out above and below."""
    height, width = area.shape[:2]
    bottom = height - bar_gap(size)
    top = bottom - bar_height(bar, size)
    area[top:bottom] = _GROOVE
    area[top:bottom, : round(min(max(bar.filled, 0.0), 1.0) * width)] = colour
    if bar.threshold is not None:
        pen, longer = max(1, round(size / 8)), max(1, size // 12)
        at = min(max(round(bar.threshold * width) - pen // 2, 0), width - pen)
        area[top - longer : bottom + longer, at : at + pen] = _LIGHT
