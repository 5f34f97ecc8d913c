"""Gathers samples by time window and decides when a batch is ready."""

from dataclasses import dataclass, field

from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.samples import Sample
from worker.domain.times import Monotonic
from worker.domain.windows import TumblingWindows, Watermark, Window


@dataclass(slots=True)
class _OpenBatch:
    window: Window
    late: bool
    since: Monotonic
    samples: list[Sample] = field(default_factory=list)


class WindowBatcher:
    """Tumbling windows of capture time of one partition, closed by watermark, size, linger or drain.

    A batch never spans two windows; a window may give several batches. Late samples are batched too, marked `late`,
    apart from the window they missed, and wait no longer than the linger.

    Args:
        windows: which window a capture time belongs to.
        lateness: milliseconds of event time a window stays open after its end.
    """

    def __init__(self, windows: TumblingWindows, *, lateness: int) -> None:
        self._windows = windows
        self._watermark = Watermark(lateness)
        self._open: dict[tuple[Window, bool], _OpenBatch] = {}

    def add(self, sample: Sample, now: Monotonic, limits: BatchLimits) -> list[Batch]:
        """Take one sample in; return the batches that this closes."""
        captured_at = sample.newest.frame.captured_at
        window = self._windows.of(captured_at)
        late = self._watermark.passed(window)
        batch = self._open.get((window, late))
        if batch is None:
            batch = self._open[window, late] = _OpenBatch(window, late, now)
        batch.samples.append(sample)

        closed = []
        if len(batch.samples) >= limits.frames:
            closed.append(self._close(batch, ClosedBy.SIZE))
        self._watermark.see(captured_at)
        passed = [each for each in self._open.values() if not each.late and self._watermark.passed(each.window)]
        closed += [self._close(each, ClosedBy.WATERMARK) for each in passed]
        return closed

    def oldest(self) -> Monotonic | None:
        """Return when the oldest open batch was opened; None while nothing is open."""
        return min((batch.since for batch in self._open.values()), default=None)

    def drain(self, closed_by: ClosedBy) -> list[Batch]:
        """Close everything that is open, and say why."""
        return [self._close(batch, closed_by) for batch in list(self._open.values())]

    def _close(self, batch: _OpenBatch, closed_by: ClosedBy) -> Batch:
        del self._open[batch.window, batch.late]
        return Batch(batch.window, tuple(batch.samples), closed_by, batch.late)
