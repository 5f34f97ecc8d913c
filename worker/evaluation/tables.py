"""Tables of a report, as people read them on a terminal."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

_TEXTS: Final = frozenset({"class", "label", "predicted", "frame", "camera", "event", "at"})
"""Columns of texts; all others are numbers, which end at the right."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Group:
    """Return a table below an empty line and its title, which may be wider."""
    made = Table(box=None, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, justify="left" if name in _TEXTS else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return Group(Text(f"\n{title}", style="bold"), made)


def share(value: float | None) -> str:
    """Write a share from 0 to 1; a hyphen of nothing."""
    return "-" if value is None else f"{value:.3f}"
