"""Show a run as it goes on: drawn again and again in a terminal, as lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live

from worker.local.screen import Moment, Scene, progress_line, screen

DRAW_EVERY: Final = 0.25
TELL_EVERY: Final = 5.0
"""Seconds between two screens, and between two lines."""


class Show(Protocol):
    """Shows what is true at a moment, unless it has just done so."""

    def __call__(self, scene: Scene, moment: Moment, *, final: bool) -> None:
        """Show it; the last moment of a run is always shown."""


@dataclass(slots=True)
class _Screen:
    """Draws in a terminal, in the size that it has at that moment."""

    live: Live
    drawn: float = 0.0

    def __call__(self, scene: Scene, moment: Moment, *, final: bool) -> None:
        if final or moment.now >= self.drawn + DRAW_EVERY:
            size = self.live.console.size
            # One line less: the cursor stands below the last one.
            self.live.update(Group(*screen(scene, moment, width=size.width, height=size.height - 1)), refresh=True)
            self.drawn = moment.now


@dataclass(slots=True)
class _Lines:
    """Prints a line every few seconds, and what has happened at once."""

    console: Console
    told: float = 0.0
    events: int = 0

    def __call__(self, scene: Scene, moment: Moment, *, final: bool) -> None:
        for event in moment.events[self.events :]:
            self.console.print(event, soft_wrap=True)
        self.events = len(moment.events)
        if final or moment.now >= self.told + TELL_EVERY:
            self.console.print(progress_line(scene, moment), soft_wrap=True)
            self.told = moment.now


def redraws(console: Console) -> bool:
    """Tell whether a console can draw over what it has drawn.

    A file cannot, even where a variable such as FORCE_COLOR asks for colours, and nor can a terminal called `dumb`.
    """
    return console.is_interactive and console.file.isatty()


@contextmanager
def shown_on(console: Console) -> Iterator[Show]:
    """Yield what shows a run on this console."""
    if not redraws(console):
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield _Screen(live)
