"""Repeat a run in which other programs took the cores, once they leave them alone again.

Pairs make up for a slow minute, but not for a program that takes a core during one run of a pair and not during the
other. The operating system says how long the cores were busy, and how long with what belongs to the search. The rest
went to others: other programs, or other virtual machines (`steal`).
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import psutil

from worker.models.container import cpu_limit
from worker.tuning.pairs import Run

LEAST_LEFT: Final = 0.95
"""Share of the cores that others must leave: what they take in the background of any machine does not count."""
PATIENCE: Final = 2.0
"""Most time for waiting and for runs that do not count, as a multiple of the time of those that do."""
PATIENCE_AT_FIRST: Final = 10.0
"""This multiple of the time for which a candidate is measured at first is added to it."""
_CLEAR_AFTER: Final = 0.25
"""Seconds without disturbance after which the next run begins."""
_RESOLUTION: Final = 0.03
"""Seconds: the system counts in steps of 10 ms, and not in the same ones for cores and for processes."""


class Look(NamedTuple):
    """What the system has counted until a moment.

    Attributes:
        at: seconds of a clock.
        left: seconds of cores that other programs left.
        usable: seconds of cores that this process was allowed to use; fewer than there are, within a container's limit.
    """

    at: float
    left: float
    usable: float


def looks(own: Iterable[int] = ()) -> Callable[[], Look]:
    """Return what reads the counters of the cores that this process may run on.

    Args:
        own: processes that belong to the search besides this one; those that they started belong to it too.
    """
    numbers = os.sched_getaffinity(0)
    usable = min(cpu_limit(), len(numbers))
    roots = [os.getpid(), *own]

    def look() -> Look:
        at, times = time.monotonic(), psutil.cpu_times(percpu=True)
        busy = sum(_busy(each) for number, each in enumerate(times) if number in numbers)
        return Look(at, at * len(numbers) - busy + _used_by(roots), at * usable)

    return look


def is_disturbed(before: Look, after: Look) -> bool:
    """Tell whether other programs left less than 95 % of the usable cores between two looks.

    >>> is_disturbed(Look(at=0, left=0, usable=0), Look(at=10, left=18.5, usable=20))
    True
    """
    return after.left - before.left + _RESOLUTION < LEAST_LEFT * (after.usable - before.usable)


class Undisturbed:
    """Repeats runs that others disturbed, as long as there is time for that.

    Args:
        look: reads the counters.
        seconds: for how long a candidate is measured at first.
        sleep: waits for some seconds.

    Attributes:
        repeated: number of runs that were repeated.
        endured: number of runs that count although others disturbed them.
        wasted: seconds of the runs that were repeated, and of waiting.
    """

    def __init__(
        self, look: Callable[[], Look], *, seconds: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._look, self._sleep = look, sleep
        self._at_first = PATIENCE_AT_FIRST * seconds
        self._used = 0.0
        self.repeated, self.endured, self.wasted = 0, 0, 0.0

    def run(self, once: Callable[[], Run], *, ready: Callable[[], object]) -> Run:
        """Return a run that nobody disturbed, or the last one if there is no time for another.

        Args:
            once: the run.
            ready: is called before each run, and may take long: what happens meanwhile does not matter.
        """
        while True:
            ready()
            before = self._look()
            run = once()
            disturbed = is_disturbed(before, self._look())
            if not disturbed or self._impatient():
                self.endured += disturbed
                self._used += run.took
                return run
            self.repeated += 1
            self.wasted += run.took
            self._wait()

    def _wait(self) -> None:
        disturbed, before = True, self._look()
        while disturbed and not self._impatient():
            self._sleep(_CLEAR_AFTER)
            after = self._look()
            self.wasted += after.at - before.at
            disturbed, before = is_disturbed(before, after), after

    def _impatient(self) -> bool:
        return self.wasted >= self._at_first + PATIENCE * self._used


def _busy(times: Any) -> float:
    """Return the seconds that a core ran programs, or another virtual machine ran on it."""
    return float(times.user + times.nice + times.system + getattr(times, "steal", 0.0))


def _used_by(roots: Iterable[int]) -> float:
    """Return the seconds that processes and those that they started have run, also those that have ended."""
    tree = set[psutil.Process]()
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            tree |= {process, *process.children(recursive=True)}
    used = 0.0
    for each in tree:
        with suppress(psutil.NoSuchProcess):  # its parent counts it now
            used += sum(each.cpu_times()[:4])
    return used
