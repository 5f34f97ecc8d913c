"""A contact sheet: many small pictures on one, each with what is to be said of it."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.views.drawing import fit
from worker.views.text import Font, default_font, shorten

Pixels = NDArray[np.uint8]

COLUMNS: Final = 5
WIDTH: Final = 240
"""Of a picture on the sheet, in pixels."""
HEIGHT: Final = 180

_SIZE, _GAP, _LINE = 16, 8, 22
_PAPER, _INK, _FAINT = (250, 250, 250), (20, 22, 26), (110, 114, 122)


class Tile(NamedTuple):
    """One picture of the sheet.

    Attributes:
        pixels: RGB, (height, width, 3), of any size.
        title: the first line below it.
        note: the second line.
    """

    pixels: Pixels
    title: str
    note: str


def contact_sheet(tiles: Iterable[Tile], font: Font | None = None) -> Pixels:
    """Put pictures next to and below each other, in order.

    Returns:
        RGB, (height, width, 3); for no tiles, one empty row.
    """
    placed, font = list(tiles), font or default_font()
    columns = min(COLUMNS, max(1, len(placed)))
    rows = max(1, -(-len(placed) // columns))
    wide, tall = WIDTH + _GAP, HEIGHT + 2 * _LINE + _GAP
    sheet = np.full((rows * tall + _GAP, columns * wide + _GAP, 3), _PAPER, np.uint8)
    for number, tile in enumerate(placed):
        top, left = (number // columns) * tall + _GAP, (number % columns) * wide + _GAP
        sheet[top : top + HEIGHT, left : left + WIDTH] = fit(tile.pixels, WIDTH, HEIGHT)
        below = sheet[top + HEIGHT : top + HEIGHT + 2 * _LINE, left : left + WIDTH]
        _write(below, ((tile.title, _INK), (tile.note, _FAINT)), font)
    return sheet


def _write(area: Pixels, lines: Sequence[tuple[str, tuple[int, int, int]]], font: Font) -> None:
    for number, (text, colour) in enumerate(lines):
        baseline = number * _LINE + _SIZE + 1
        font.write(area, shorten(text, _SIZE, area.shape[1], font), (0, baseline), _SIZE, colour)
