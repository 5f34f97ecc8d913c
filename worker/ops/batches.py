"""Metrics of batches and of calls of the model."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.latency import LatencyControl

_FRAMES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class BatchMetrics:
    """Counts batches and calls, and shows the limits in force.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"vision_worker_{name}", text, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"vision_worker_{name}", text, registry=registry, buckets=_FRAMES)

        self._batches = Counter(
            "vision_worker_batches", "Batches closed, by what closed them.", ("closed_by",), registry=registry
        )
        self._size = histogram("batch_size_frames", "Frames in a batch.")
        self._calls = histogram("model_call_frames", "Frames in one call of the model.")
        self._limit = gauge("model_call_limit_frames", "Most frames in one call; less if memory is short.")
        self._linger = gauge("batch_linger_seconds", "Longest time that a batch stays open, for now.")
        self._frames_limit = gauge("batch_limit_frames", "Most frames in a batch, for now.")
        self._target = gauge("latency_target_seconds", "From capture to prediction, as set; 0 if it is not set.")
        self._rate = gauge("arrival_rate_frames", "Frames that arrive a second, as used to plan batches.")
        self._call_base = gauge("model_call_base_seconds", "Estimate: seconds that a call costs, without its frames.")
        self._call_each = gauge("model_call_frame_seconds", "Estimate: seconds that each frame adds to a call.")
        for each in ClosedBy:  # a series that begins at its first event hides that event from increase()
            self._batches.labels(each)

    def closed(self, batch: Batch) -> None:
        """A batch left its window."""
        self._batches.labels(batch.closed_by).inc()
        self._size.observe(len(batch.samples))

    def called(self, frames: Iterable[int], *, limit: int) -> None:
        """The model answered for these numbers of frames, a number for each call; `limit` is the most for one."""
        for answered in frames:
            self._calls.observe(answered)
        self._limit.set(limit)

    def limits(self, limits: BatchLimits, control: LatencyControl) -> None:
        """These limits are in force, for what is known of arrivals and costs."""
        self._linger.set(limits.linger)
        self._frames_limit.set(limits.frames)
        self._target.set(control.target or 0)
        self._rate.set(control.rate)
        self._call_base.set(control.model.base)
        self._call_each.set(control.model.each)
