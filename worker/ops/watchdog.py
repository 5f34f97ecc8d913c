"""Notices that the loop does not come round, and says where it is stuck."""

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

LOOK_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the loop is.

    Attributes:
        silent: seconds since it last came round.
        since_poll: seconds since it last asked for frames; the group waits for that no longer than
            max.poll.interval.ms.
        stage: what it is doing.
    """

    silent: float
    since_poll: float
    stage: str

    def __str__(self) -> str:
        return (
            f"the loop has not come round for {self.silent:.0f} s, in stage {self.stage!r}; its last poll was "
            f"{self.since_poll:.0f} s ago"
        )


class Watchdog(threading.Thread):
    """Logs once, with the stacks of every thread, when the loop stalls, and once when it goes on.

    Args:
        pulse: tells how the loop is.
        limit: seconds of silence that count as a stall.
    """

    def __init__(self, pulse: Callable[[], Pulse], *, limit: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._pulse = pulse
        self._limit = limit
        self._over = threading.Event()
        self._barked = False
        self._log = structlog.get_logger("watchdog")

    def fault(self) -> str | None:
        """Say what is wrong now, or None."""
        pulse = self._pulse()
        return str(pulse) if pulse.silent > self._limit else None

    def look(self) -> None:
        """Look once."""
        fault = self.fault()
        if fault and not self._barked:
            self._log.error(f"{fault}\n{stacks()}")
        elif self._barked and not fault:
            self._log.warning("the loop goes on")
        self._barked = fault is not None

    def run(self) -> None:
        """Look every second until `stop`."""
        while not self._over.wait(LOOK_EVERY):
            self.look()

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


def stacks() -> str:
    """Return what every thread is doing now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 the documented way to other threads' frames
    )
