"""Frames of each camera at a reduced rate, for models that see one frame."""

from collections.abc import Sequence
from typing import Final

from worker.domain.clips import Slots
from worker.domain.frames import EncodedFrame
from worker.domain.samples import OVER_RATE, Sample, Skipped
from worker.domain.times import Monotonic
from worker.sampling.every_frame import EveryFrame

CAMERAS_REMEMBERED: Final = 10_000
"""Of more cameras than these, the one that was silent longest is forgotten; its next frame is taken."""


class AtRate(EveryFrame):
    """Takes the first frame of each slot of capture time, and skips the others.

    A frame that comes after one of a later slot is skipped too. After a restart each camera's first frame is taken, so
    one slot may have a second frame; that costs less than holding back offsets for every camera that is silent. The
    hidden states of a recurrent model leave such a frame out (`worker.domain.sequences`).

    Args:
        rate: slots a second.
    """

    def __init__(self, rate: float) -> None:
        self._slots = Slots(rate)
        self._taken: dict[str, int] = {}  # the newest slot of each camera; the one silent longest comes first

    def take(self, frame: EncodedFrame, now: Monotonic) -> Sequence[Sample | Skipped]:
        """Return the frame as a sample, or skipped."""
        camera, slot = frame.frame.camera, self._slots.of(frame.frame.captured_at)
        newest = self._taken.pop(camera, -1)
        self._taken[camera] = max(slot, newest)
        if len(self._taken) > CAMERAS_REMEMBERED:
            del self._taken[next(iter(self._taken))]
        return super().take(frame, now) if slot > newest else (Skipped(frame.frame, OVER_RATE),)
