"""Which stage the loop is in, and how long each stage takes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.ops.telemetry import Telemetry
from worker.ports import MonotonicClock


class Stages:
    """Measures the stages of the loop. The watchdog reads the current one from its own thread.

    Attributes:
        current: the stage that began last.
    """

    def __init__(self, telemetry: Telemetry, monotonic: MonotonicClock) -> None:
        self.current = "start"
        self._telemetry = telemetry
        self._monotonic = monotonic

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[], float]]:
        """Measure a stage; what it yields tells, once the stage is over, how many seconds it took."""
        self.current, began, took = name, self._monotonic(), 0.0
        yield lambda: took
        took = self._monotonic() - began
        self._telemetry.stages_took([(name, took)])
