"""Say what is being prepared, and for how long: a visitor never looks at a screen on which nothing moves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from worker.local.columns import shorten
from worker.local.display import redraws

PLAIN_EVERY: Final = 5.0
"""Seconds between two lines about what is not finished yet, if the output is no terminal."""
_REFRESH_PER_SECOND: Final = 4


@dataclass(slots=True)
class Step:
    """One thing to prepare.

    Attributes:
        began: when it began, in seconds of a monotonic clock.
        ended: when it ended; None while it goes on.
        note: shown after its name; others may change it.
    """

    name: str
    began: float
    ended: float | None = None
    note: str = ""

    def line(self, now: float, width: int) -> Text:
        """Return how far it is at this time, in at most this width."""
        end = now if self.ended is None else self.ended
        state, style = ("..  ", "yellow") if self.ended is None else ("ok  ", "green")
        took = f"{end - self.began:4.0f} s  "
        said = f"{self.name}, {self.note}" if self.note else self.name
        return Text.assemble((state, style), (took, "dim"), shorten(said, width - len(state) - len(took)))


class Steps:
    """The steps so far; they may begin and end in any thread.

    Args:
        console: where they are shown.
        note: called whenever they are shown; its text stands below them.
    """

    def __init__(self, console: Console, note: Callable[[], str] = str) -> None:
        self._console = console
        self._note = note
        self._steps: list[Step] = []

    @contextmanager
    def shown(self) -> Iterator[Self]:
        """Show the steps while the block runs: as a list in a terminal, else as a line each, every few seconds."""
        if redraws(self._console):
            with Live(console=self._console, refresh_per_second=_REFRESH_PER_SECOND, get_renderable=self._list):
                yield self
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._tell, args=(ended,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while the block runs, and that it is done if the block ends without an error."""
        step = Step(name, time.monotonic())
        self._steps.append(step)
        yield step
        step.ended = time.monotonic()
        if not redraws(self._console):
            self._print(step)

    def _list(self) -> Group:
        now, width = time.monotonic(), self._console.width
        lines = [step.line(now, width) for step in self._steps]
        if note := self._note():
            lines.append(Text(shorten(note, width), "dim"))
        return Group(*lines)

    def _tell(self, ended: threading.Event) -> None:
        """Print what is not finished yet, every few seconds."""
        while not ended.wait(PLAIN_EVERY):
            for step in [each for each in self._steps if each.ended is None]:
                self._print(step)
            if note := self._note():
                self._console.print(note, soft_wrap=True)

    def _print(self, step: Step) -> None:
        self._console.print(step.line(time.monotonic(), len(step.name) + len(step.note) + 80), soft_wrap=True)


def growth_of(*folders: Path) -> Callable[[], str]:
    """Return a function that says how many bytes have been added to these folders, for `Steps`.

    Nobody else writes there but downloads. So it needs no word from those who download, however they do it.
    """
    before = _bytes_in(folders)

    def said() -> str:
        grown = _bytes_in(folders) - before
        return f"{grown / 1e6:.0f} MB downloaded and unpacked; this is needed only once" if grown > 1e5 else ""

    return said


def _bytes_in(folders: tuple[Path, ...]) -> int:
    total = 0
    for folder in folders:
        for file in folder.rglob("*"):
            try:
                total += file.stat().st_size
            except OSError:  # a temporary file that has just gone
                continue
    return total
