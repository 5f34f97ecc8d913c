"""Frames of each camera at a reduced rate, for models that see one frame."""

from collections.abc import Sequence
from typing import Final

from worker.domain.clips import Slots
from worker.domain.frames import EncodedFrame
from worker.domain.samples import Sample, Skipped
from worker.domain.times import Monotonic
from worker.sampling.clips import OVER_RATE

CAMERAS_REMEMBERED: Final = 10_000
"""Of more cameras than these, the one that was silent longest is forgotten; its next frame is taken."""


class AtRate:
    """Implements `ports.Sampler`: takes the first frame of each slot of capture time, and skips the others.

    A frame that comes after one of a later slot is skipped too. After a restart each camera's first frame is taken, so
    one slot may have a second frame; that costs less than holding back offsets for every camera that is silent.

    Args:
        rate: slots a second.

    Attributes:
        held_bytes: nothing is held.
    """

    held_bytes = 0

    def __init__(self, rate: float) -> None:
        self._slots = Slots(rate)
        self._taken: dict[str, int] = {}  # the newest slot of each camera; the one silent longest comes first

    def take(self, frame: EncodedFrame, now: Monotonic) -> Sequence[Sample | Skipped]:  # noqa: ARG002 as above
        """Return the frame as a sample, or skipped."""
        camera, slot = frame.frame.camera, self._slots.of(frame.frame.captured_at)
        newest = self._taken.pop(camera, -1)
        self._taken[camera] = max(slot, newest)
        if slot <= newest:
            return (Skipped(frame.frame, OVER_RATE),)
        if len(self._taken) > CAMERAS_REMEMBERED:
            del self._taken[next(iter(self._taken))]
        alone = (frame,)
        return (Sample(alone, alone),)

    def pass_time(self, now: Monotonic) -> Sequence[Sample]:  # noqa: ARG002 silence decides nothing
        """Return nothing: no sample is ever incomplete."""
        return ()

    def relieve(self) -> None:
        """Return None: no frame is held."""

    def drain(self) -> Sequence[Sample]:
        """Return nothing: no sample is ever incomplete."""
        return ()

    def oldest_needed(self) -> None:
        """Return None: no later sample needs a frame of the past."""
