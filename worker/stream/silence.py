"""How long cameras have been silent, as far as the worker has listened.

A worker that waits for its model reads nothing, and a partition that it has not read to the end may hold more of a
camera. Neither is the camera's silence. So time counts only while the loop polls, a step that takes long counts as a
short one, and a partition is looked at only if everything in it was read. Markers of transactions are never read, so
any partition is looked at if nothing was read for a while, of no partition: then nothing waits behind the records of
another one.
"""

from collections.abc import Sequence
from typing import Final

from worker.domain.records import Record
from worker.domain.times import Monotonic

LOOK_EVERY: Final = 0.1
"""Seconds of this clock between two looks."""


class Silence:
    """A clock that advances while the worker listens.

    Args:
        longest_step: seconds that one step counts at most.

    Attributes:
        now: seconds.
    """

    def __init__(self, *, longest_step: float) -> None:
        self.now = Monotonic(0.0)
        self._longest_step = longest_step
        self._polled_at: Monotonic | None = None
        self._looked_at = Monotonic(0.0)
        self._heard = False

    def polled(self, records: Sequence[Record], at: Monotonic) -> bool:
        """Note a poll and what it returned; tell whether it is time to look."""
        if self._polled_at is not None:
            self.now = Monotonic(self.now + min(at - self._polled_at, self._longest_step))
        self._polled_at = at
        self._heard = self._heard or bool(records)
        return self.now - self._looked_at >= LOOK_EVERY

    def looked(self) -> bool:
        """Note that it was looked; tell whether anything was read since the last time."""
        heard, self._heard = self._heard, False
        self._looked_at = self.now
        return heard
