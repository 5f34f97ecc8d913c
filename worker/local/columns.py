"""Which columns of a table fit into a terminal, and how wide is each? Only ASCII is added, so any terminal shows it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text

GAP: Final = 2
"""Spaces between two columns."""
_CUT: Final = ".."


class Ranked(Protocol):
    """Something that can be left out; what has the highest rank goes first, and rank 0 stays."""

    @property
    def rank(self) -> int:
        """Its rank, from 0."""


T = TypeVar("T", bound=Ranked)


def most_that_fit(items: Iterable[T], fits: Callable[[Sequence[T]], bool]) -> list[T]:
    """Leave out the items of the highest rank until the others fit, or only those of rank 0 are left."""
    kept = list(items)
    while not fits(kept) and (highest := max((each.rank for each in kept), default=0)):
        kept = [each for each in kept if each.rank < highest]
    return kept


@dataclass(slots=True)
class Column:
    """One column with its cells.

    Attributes:
        width: the width in columns of the terminal that it usually needs, so that a live table does not jump. Longer
            cells make it wider.
        least: the width down to which its cells may be cut; None if they must not be cut.
        rank: see `Ranked`.
        right: whether the cells are aligned at their right.
        style: rich's style of all cells.
        styles: rich's style of each cell, in addition.
    """

    heading: str
    cells: Sequence[str]
    width: int = 0
    least: int | None = None
    rank: int = 0
    right: bool = False
    style: str = ""
    styles: Sequence[str] = field(default_factory=tuple)

    @property
    def wanted(self) -> int:
        """The width at which nothing is cut."""
        return max(self.width, *(cell_len(each) for each in (self.heading, *self.cells)))

    @property
    def needed(self) -> int:
        """The width below which it is left out."""
        return self.wanted if self.least is None else min(self.wanted, max(self.least, cell_len(self.heading)))


def table(columns: Iterable[Column], width: int) -> list[Text]:
    """Return the lines of a table: the headings, then one line for each row. None is wider than `width`.

    Columns are left out by rank until the others fit. The remaining width goes to the columns that were cut.
    """
    kept = most_that_fit(columns, lambda some: _total(each.needed for each in some) <= width)
    spare = width - _total(each.needed for each in kept)
    widths = []
    for each in kept:
        granted = min(each.wanted - each.needed, max(0, spare))
        spare -= granted
        widths.append(each.needed + granted)
    rows = max(len(each.cells) for each in kept)
    headings = [_cell(each, each.heading, to, "dim") for each, to in zip(kept, widths, strict=True)]
    lines = [headings, *([_body(each, row, to) for each, to in zip(kept, widths, strict=True)] for row in range(rows))]
    return [_cropped(Text(" " * GAP).join(cells), width) for cells in lines]


def shorten(text: str, width: int) -> str:
    """Return a text that is at most `width` wide; where it was cut, it ends in two dots."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(_CUT))).rstrip() + _CUT[: max(0, width)]


def _body(column: Column, row: int, width: int) -> Text:
    own = column.styles[row] if row < len(column.styles) else ""
    return _cell(column, column.cells[row], width, f"{column.style} {own}".strip())


def _cell(column: Column, text: str, width: int, style: str) -> Text:
    cut = shorten(text, width)
    space = " " * (width - cell_len(cut))
    return Text.assemble(space if column.right else "", (cut, style), "" if column.right else space)


def _cropped(line: Text, width: int) -> Text:
    line.truncate(width)
    return line


def _total(widths: Iterable[int]) -> int:
    known = list(widths)
    return sum(known) + GAP * (len(known) - 1)
