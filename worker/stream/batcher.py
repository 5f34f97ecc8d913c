"""Gathers samples by time window and decides when a batch is ready."""

from dataclasses import dataclass, field
from typing import Final

from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.samples import Sample
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows, Watermark, Window

CAMERAS_REMEMBERED: Final = 10_000
"""Watermarks that a partition keeps. Of more cameras than these, the one that was silent longest is forgotten; the next
frame of such a camera is never late."""


@dataclass(slots=True)
class _OpenBatch:
    """A batch that takes samples.

    Attributes:
        waits_for: cameras that have samples in it and may send more for its window.
    """

    window: Window
    late: bool
    since: Monotonic
    samples: list[Sample] = field(default_factory=list)
    waits_for: set[str] = field(default_factory=set)


class WindowBatcher:
    """Tumbling windows of capture time of one partition, closed by watermark, size, linger or drain.

    A batch never spans two windows; a window may give several batches. Each camera has a watermark of its own, so a
    clock that runs fast makes no other camera late. A window closes by watermark once every camera with a sample in it
    has passed it; a camera that falls silent delays it no longer than the linger. Late samples are batched too, marked
    `late`, apart from the window they missed.

    Args:
        windows: which window a capture time belongs to.
        lateness: milliseconds of event time a window stays open after its end.
        remembered: cameras whose watermark is kept.
    """

    def __init__(self, windows: TumblingWindows, *, lateness: int, remembered: int = CAMERAS_REMEMBERED) -> None:
        self._windows = windows
        self._lateness = lateness
        self._remembered = remembered
        self._watermarks: dict[str, Watermark] = {}  # the camera that was silent longest comes first
        self._open: dict[tuple[Window, bool], _OpenBatch] = {}

    def add(self, sample: Sample, now: Monotonic, limits: BatchLimits) -> list[Batch]:
        """Take one sample in; return the batches that this closes."""
        frame = sample.newest.frame
        camera, window = frame.camera, self._windows.of(frame.captured_at)
        watermark = self._watermark_of(camera)
        late = watermark.passed(window)
        batch = self._open.get((window, late))
        if batch is None:
            batch = self._open[window, late] = _OpenBatch(window, late, now)
        batch.samples.append(sample)
        batch.waits_for.add(camera)

        closed = []
        if len(batch.samples) >= limits.frames:
            closed.append(self._close(batch, ClosedBy.SIZE))
        return closed + self._see(camera, watermark, frame.captured_at)

    def __len__(self) -> int:
        """Count the samples in open batches."""
        return sum(len(batch.samples) for batch in self._open.values())

    def oldest(self) -> Monotonic | None:
        """Return when the oldest open batch was opened; None while nothing is open."""
        return min((batch.since for batch in self._open.values()), default=None)

    def drain(self, closed_by: ClosedBy) -> list[Batch]:
        """Close everything that is open, and say why."""
        return [self._close(batch, closed_by) for batch in list(self._open.values())]

    def _watermark_of(self, camera: str) -> Watermark:
        watermark = self._watermarks.pop(camera, None) or Watermark(self._lateness)
        self._watermarks[camera] = watermark
        if len(self._watermarks) > self._remembered:
            del self._watermarks[next(iter(self._watermarks))]
        return watermark

    def _see(self, camera: str, watermark: Watermark, at: EventMillis) -> list[Batch]:
        """Move a camera's watermark on; return the batches that wait for no camera any more."""
        watermark.see(at)
        closed = []
        for batch in list(self._open.values()):
            if not batch.late and camera in batch.waits_for and watermark.passed(batch.window):
                batch.waits_for.discard(camera)
                if not batch.waits_for:
                    closed.append(self._close(batch, ClosedBy.WATERMARK))
        return closed

    def _close(self, batch: _OpenBatch, closed_by: ClosedBy) -> Batch:
        del self._open[batch.window, batch.late]
        return Batch(batch.window, tuple(batch.samples), closed_by, batch.late)
