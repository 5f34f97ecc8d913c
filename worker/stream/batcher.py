"""Gathers frames by time window and decides when a batch is ready."""

from dataclasses import dataclass, field

from worker.domain.batches import BatchLimits, ClosedBy, FrameBatch
from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.times import Monotonic
from worker.domain.windows import TumblingWindows, Watermark, Window


@dataclass(slots=True)
class _OpenBatch:
    window: Window
    late: bool
    since: Monotonic
    frames: list[EncodedFrame] = field(default_factory=list)


@dataclass(slots=True)
class _Lane:
    """What is open for one partition. Late frames of a window gather apart from the window they missed."""

    watermark: Watermark
    open: dict[tuple[Window, bool], _OpenBatch] = field(default_factory=dict)


class WindowBatcher:
    """Tumbling windows of capture time per partition, closed by watermark, size, linger or drain.

    A batch never spans two windows or two partitions; a window may give several batches. Late frames are
    batched too, marked `late`, and wait for company only as long as the linger.

    Args:
        windows: which window a capture time belongs to.
        lateness: milliseconds of event time a window stays open after its end.
        limits: linger and frames to begin with.

    Attributes:
        limits: linger and frames in force; whoever drives the batcher may change them at any time.
    """

    def __init__(self, windows: TumblingWindows, *, lateness: int, limits: BatchLimits) -> None:
        self._windows = windows
        self._lateness = lateness
        self.limits = limits
        self._lanes: dict[TopicPartition, _Lane] = {}

    def add(self, frame: EncodedFrame, now: Monotonic) -> list[FrameBatch]:
        """Take one frame in; return the batches that this closes."""
        partition = frame.position.partition
        lane = self._lanes.setdefault(partition, _Lane(Watermark(self._lateness)))
        window = self._windows.of(frame.captured_at)
        late = lane.watermark.passed(window)
        batch = lane.open.get((window, late))
        if batch is None:
            batch = lane.open[window, late] = _OpenBatch(window, late, now)
        batch.frames.append(frame)

        closed = []
        if len(batch.frames) >= self.limits.frames:
            closed.append(self._close(partition, batch, ClosedBy.SIZE))
        lane.watermark.see(frame.captured_at)
        passed = [b for b in lane.open.values() if not b.late and lane.watermark.passed(b.window)]
        closed += [self._close(partition, b, ClosedBy.WATERMARK) for b in passed]
        return closed

    def due(self, now: Monotonic) -> list[FrameBatch]:
        """Return everything that is open once the linger of one batch is over."""
        deadline = self.deadline()
        return [] if deadline is None or now < deadline else self.drain(ClosedBy.LINGER)

    def deadline(self) -> Monotonic | None:
        """Tell when `due` will next have something to return, or None while nothing is open."""
        since = min((batch.since for _, batch in self._batches()), default=None)
        return None if since is None else Monotonic(since + self.limits.linger)

    def drain(self, closed_by: ClosedBy = ClosedBy.DRAIN) -> list[FrameBatch]:
        """Close everything that is open, and say why."""
        return [self._close(partition, batch, closed_by) for partition, batch in self._batches()]

    def forget(self, partition: TopicPartition) -> None:
        """Drop what is open for a partition that now belongs to another worker, which will read it again."""
        self._lanes.pop(partition, None)

    def _batches(self) -> list[tuple[TopicPartition, _OpenBatch]]:
        return [(partition, batch) for partition, lane in self._lanes.items() for batch in lane.open.values()]

    def _close(self, partition: TopicPartition, batch: _OpenBatch, closed_by: ClosedBy) -> FrameBatch:
        del self._lanes[partition].open[batch.window, batch.late]
        return FrameBatch(partition, batch.window, tuple(batch.frames), closed_by, batch.late)
