"""Detect a stalled loop, and log where it is stuck."""

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The state of the loop.

    Attributes:
        silent: seconds since the loop last did something.
        in_step: seconds since the loop last completed a step; more than `silent` while it reads back what was saved.
        since_poll: seconds since the last poll; after max.poll.interval.ms without one, the group removes the worker.
        stage: the stage that the loop is in.
    """

    silent: float
    in_step: float
    since_poll: float
    stage: str

    def __str__(self) -> str:
        return (
            f"the loop has stalled for {self.silent:.0f} s in stage {self.stage!r}; its last poll was "
            f"{self.since_poll:.0f} s ago"
        )


class Watchdog:
    """Logs once when the loop stalls, with the stacks of all threads, and once when it recovers.

    Args:
        pulse: returns the state of the loop.
        limit: seconds of silence that count as a stall.
    """

    def __init__(self, pulse: Callable[[], Pulse], *, limit: float) -> None:
        self._pulse = pulse
        self._limit = limit
        self._stalled = False
        self._log = structlog.get_logger("watchdog")

    def fault(self) -> str | None:
        """Return a description of the current stall, or None."""
        pulse = self._pulse()
        return str(pulse) if pulse.silent > self._limit else None

    def check(self) -> None:
        """Check the loop once, and log if its state has changed."""
        fault = self.fault()
        if fault and not self._stalled:
            self._log.error(f"{fault}\n{stacks()}")
        elif self._stalled and not fault:
            self._log.warning("the loop has recovered")
        self._stalled = fault is not None


def stacks() -> str:
    """Return the current stacks of all threads."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 the documented way to get other threads' frames
    )
