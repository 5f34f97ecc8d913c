"""The frames of one camera in the order of their capture."""

from bisect import insort
from typing import NamedTuple

from worker.domain.frames import EncodedFrame
from worker.domain.samples import DUPLICATE, LATE, Skipped
from worker.domain.times import EventMillis


class Arrival(NamedTuple):
    """A frame that was taken.

    Attributes:
        witness: the oldest offset that must be read again for the frame to be taken again in the same way: its own, or
            that of the frame that had been captured last when it came.
    """

    frame: EncodedFrame
    witness: int

    @property
    def captured_at(self) -> EventMillis:
        """When it was captured."""
        return self.frame.frame.captured_at


class CaptureOrder:
    """Holds frames back until no earlier one is waited for.

    A frame is waited for until one has come that was captured `lateness` later. Two frames of a camera with the same
    capture time are one frame that was sent twice.

    Args:
        lateness: milliseconds.

    Attributes:
        waiting: the frames that are held back, in order of capture.
        newest: the offset of the frame that was captured last: with it, later frames are found to be late. None before
            the first frame, and after everything was released.
    """

    def __init__(self, lateness: int) -> None:
        self.waiting: list[Arrival] = []
        self.newest: int | None = None
        self._lateness = lateness
        self._newest_at = self._released_to = -1

    def add(self, frame: EncodedFrame) -> list[Arrival] | Skipped:
        """Take a frame; return those that no earlier one can precede any more, or that this one is skipped."""
        at, offset = frame.frame.captured_at, frame.frame.position.offset
        if (twin := self._twin_of(at)) is not None:
            return Skipped(frame.frame, DUPLICATE, needs=twin)
        if at <= self._released_to:
            return Skipped(frame.frame, LATE, needs=self.newest)
        insort(self.waiting, Arrival(frame, offset if self.newest is None else self.newest), key=_captured_at)
        if at > self._newest_at:
            self._newest_at, self.newest = at, offset
        return self._release(self._newest_at - self._lateness)

    def release_all(self) -> list[Arrival]:
        """Release all frames: no earlier ones are waited for any more."""
        self.newest = None
        return self._release(self._newest_at)

    def _release(self, until: int) -> list[Arrival]:
        self._released_to = max(until, self._released_to)
        count = 0
        while count < len(self.waiting) and self.waiting[count].captured_at <= self._released_to:
            count += 1
        released, self.waiting = self.waiting[:count], self.waiting[count:]
        return released

    def _twin_of(self, at: EventMillis) -> int | None:
        """Return the offset of a frame with this capture time, if it is waiting or the newest of all."""
        if at == self._newest_at and self.newest is not None:
            return self.newest
        return next((each.frame.frame.position.offset for each in self.waiting if each.captured_at == at), None)


def _captured_at(arrival: Arrival) -> EventMillis:
    return arrival.captured_at
