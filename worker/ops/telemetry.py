"""Every metric name, and every line the worker logs while it runs: facts go in, Prometheus and people read them."""

from collections import Counter as Tallies
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.domain.batches import Batch, BatchLimits
from worker.domain.errors import Reason
from worker.domain.extents import Restored
from worker.domain.frames import Frame
from worker.domain.latency import LatencyControl
from worker.domain.pictures import Flaw, Flawed
from worker.domain.records import TopicPartition
from worker.domain.results import (
    BoxVerdict,
    Classification,
    DeadLetter,
    FrameValue,
    ModelIdentity,
    Outcome,
    Prediction,
    SeveralClasses,
)
from worker.domain.samples import Shown, Skipped
from worker.domain.times import EventMillis
from worker.ops.batches import BatchMetrics
from worker.ops.beginnings import tell_beginning
from worker.ops.cameras import Cameras
from worker.ops.counts import Counts, Totals
from worker.ops.verdicts import VerdictMetrics

STAGES: Final = (
    "poll",
    "restore",
    "parse",
    "gather",
    "decode",
    "classify",
    "score",
    "publish",
    "settle",
    "commit",
)
PREDICTED: Final = "predicted"
REJECTED: Final = "rejected"
SKIPPED: Final = "skipped"
SHOWN: Final = "shown"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

CLOCK_TOLERANCE: Final = 10_000
"""Milliseconds that a camera's clock may be ahead of the worker's before it is told."""

_WITH_LABELS = (Classification, FrameValue, SeveralClasses)
"""Results that are compared with the label of their frame; to all others it means nothing."""


class Telemetry:
    """The worker's metrics on one registry, and its log.

    Args:
        registry: where the metrics are registered; never the process-wide default.
        max_cameras: how many cameras have series of their own; the rest share `camera="other"`.
    """

    def __init__(self, registry: CollectorRegistry, *, max_cameras: int) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"vision_worker_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"vision_worker_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"vision_worker_{name}", text, labels, registry=registry, buckets=buckets)

        self._frames = counter("frames", "Frames whose outcome the broker confirmed.", "camera", "outcome")
        self._late = counter("late_frames", "Frames that came after their window was passed.", "camera")
        self._ahead = counter(
            "clock_ahead_frames", "Frames captured over 10 s later than now, by the worker's clock.", "camera"
        )
        self._verdicts = VerdictMetrics(registry)
        self._unknown = counter("unknown_labels", "Predictions whose label names no class of the model.", "camera")
        self._dead = counter("dead_letters", "Frames written to the dead-letter topic.", "reason")
        self._skipped = counter(
            "skipped_frames", "Frames that were left out on purpose, by reason.", "camera", "reason"
        )
        self._dropped = counter(
            "dropped_states", "Hidden states deleted: not heard among limits.max_states frames, or of former records."
        )
        self._flawed = counter(
            "flawed_pictures", "Pictures with a flaw that their decoder reports, taken or not.", "flaw"
        )
        self._undrawn = counter("undrawn_pictures", "Pictures for topics.annotated that could not be made.")
        self._relieved = counter(
            "relieved_cameras", "Times a camera's open clips were given up because memory was short."
        )
        self._batches = BatchMetrics(registry)
        self._stages = histogram("stage_seconds", "Time spent in each stage of the loop.", _SECONDS, "stage")
        self._age = histogram("frame_age_seconds", "From capture to confirmed publication.", _SECONDS)
        self._commits = counter("commits", "Offset commits.", "outcome")
        self._refused = counter("refused_transactions", "Transactions the group refused; nothing was written.")
        self._rebalances = counter("rebalances", "Times the assignment changed.", "event")
        self._assigned = gauge("assigned_partitions", "Partitions this worker reads.")
        self._waiting = gauge("waiting_partitions", "Partitions not read yet: an output has no such partition.")
        self._missed = counter("missed_records", "Records deleted from the input before they were read, at most.")
        self._lag = gauge(
            "lag_records", "Records between position and end; none while brokers do not answer.", "topic", "partition"
        )
        self._unreachable = gauge(
            "brokers_unreachable_seconds", "For how long the brokers of its partitions have not answered; 0 if they do."
        )
        self._in_flight = gauge("in_flight_bytes", "Encoded bytes read and not yet settled.")
        self._model = gauge("model_info", "The model that answers, always 1.", "name", "version", "device")
        # A series that begins at its first event hides that event from increase(): these begin at zero.
        for known, values in {
            self._dead: Reason,
            self._flawed: Flaw,
            self._commits: ("succeeded", "failed"),
            self._rebalances: ("assigned", "revoked", "lost"),
        }.items():
            for value in values:
                known.labels(value)
        self._cameras = Cameras(max_cameras)
        self._max_kinds = max_cameras
        self._reported: Tallies[str] = Tallies()
        self._totals = Totals()
        self._log = structlog.get_logger("worker")

    def model_ready(self, model: ModelIdentity, device: str, engine: str, *, warm_up_seconds: float) -> None:
        """The model is loaded and warm."""
        self._model.labels(model.name, model.version, device).set(1)
        warm_up_seconds = round(warm_up_seconds, 3)
        self._log.info("model ready", model=str(model), device=device, engine=engine, warm_up_seconds=warm_up_seconds)

    def stages_took(self, seconds: Iterable[tuple[str, float]]) -> None:
        """Stages ended, and took these seconds each."""
        for stage, took in seconds:
            self._stages.labels(stage).observe(took)

    def batch_closed(self, batch: Batch, partition: TopicPartition) -> None:
        """A batch of this partition left its window."""
        self._batches.closed(batch)
        if batch.late:
            for sample in batch.samples:
                self._late.labels(self._cameras.series(sample.newest.frame.camera, partition)).inc()

    def model_called(self, frames: Iterable[int], *, limit: int) -> None:
        """The model answered for these numbers of frames, a number for each call; `limit` is the most for one."""
        self._batches.called(frames, limit=limit)

    def batch_limits(self, limits: BatchLimits, control: LatencyControl) -> None:
        """These limits are in force, for what is known of arrivals and costs."""
        self._batches.limits(limits, control)

    def delivered(self, outcomes: Iterable[Outcome], *, published_at: EventMillis) -> None:
        """The broker confirmed these outcomes."""
        predicted: defaultdict[tuple[str, TopicPartition], list[Prediction]] = defaultdict(list)
        for outcome in outcomes:
            if not isinstance(outcome, DeadLetter):
                frame = outcome.frame
                if frame.captured_at > frame.arrived_at + CLOCK_TOLERANCE:
                    self._from_future(frame)
            match outcome:
                case Prediction():
                    predicted[outcome.camera, outcome.position.partition].append(outcome)
                case DeadLetter():
                    self._rejected(outcome)
                case Skipped():
                    camera = self._cameras.series(outcome.camera, outcome.position.partition)
                    self._frames.labels(camera, SKIPPED).inc()
                    self._totals.outcomes[SKIPPED] += 1
                    self._totals.skipped[outcome.reason] += 1
                    self._skipped.labels(camera, outcome.reason).inc()
                case Shown():
                    camera = self._cameras.series(outcome.camera, outcome.position.partition)
                    self._frames.labels(camera, SHOWN).inc()
                    self._totals.outcomes[SHOWN] += 1
        for (camera, partition), predictions in predicted.items():  # once a camera, not once a frame
            self._predicted(self._cameras.series(camera, partition), predictions, published_at)

    def refused(self, text: str) -> None:
        """A transaction was refused; its frames are delivered later, here or by the new owner of their partitions."""
        self._refused.inc()
        self._log.warning("transaction refused, nothing was written", text=text)

    def relieved(self, partition: TopicPartition) -> None:
        """The open clips of a camera of this partition were given up."""
        self._relieved.inc()
        if self._worth_telling("relieved"):
            self._log.warning(
                "open clips need more memory than there is: those of one camera were given up; raise limits.memory, "
                "or give each worker fewer cameras",
                partition=str(partition),
                so_far=self._reported["relieved"],
            )

    def flawed(self, frame: Frame, flawed: Flawed) -> None:
        """The decoder reports a flaw of a frame's picture, whether it was taken or not. From any thread."""
        self._flawed.labels(flawed.flaw.value).inc()
        if self._worth_telling(f"flaw {flawed.flaw}"):
            self._log.warning(
                "a decoder reports a flaw of a picture",
                flaw=flawed.flaw.value,
                text=flawed.text,
                camera=frame.camera,
                position=str(frame.position),
                so_far=self._reported[f"flaw {flawed.flaw}"],
            )

    def not_drawn(self, frame: Frame, error: Exception) -> None:
        """The picture of a prediction could not be made; its prediction is not affected. From any thread."""
        self._undrawn.inc()
        if self._worth_telling("not drawn"):
            self._log.warning(
                "a picture with its prediction could not be made and is left out",
                error=f"{type(error).__name__}: {error}",
                camera=frame.camera,
                position=str(frame.position),
                so_far=self._reported["not drawn"],
            )

    def in_flight(self, size: int) -> None:
        """This many encoded bytes are read and not settled."""
        self._in_flight.set(size)
        self._totals.in_flight = size

    def committed(self, error: str | None) -> None:
        """A commit was answered; `error` is None if it went well."""
        self._commits.labels("succeeded" if error is None else "failed").inc()
        if error is not None:
            self._log.warning("commit failed; nothing is lost, and the next commit includes it", error=error)

    def rebalanced(self, event: str, partitions: Collection[TopicPartition], *, assigned: int) -> None:
        """Partitions were assigned, revoked or lost; `assigned` remain."""
        self._rebalances.labels(event).inc()
        self._assigned.set(assigned)
        self._totals.assigned = assigned
        self._log.info(f"partitions {event}", partitions=[str(p) for p in sorted(partitions)], assigned=assigned)

    def restored(self, partition: TopicPartition, restored: Restored) -> None:
        """What was saved of a partition was read back, and says where its frames begin."""
        tell_beginning(self._log, partition, restored)
        if restored.start.missed:
            self.missed(partition, restored.start.missed)

    def all_restored(self, keys: int, *, seconds: float) -> None:
        """Accuracy and hidden states were read back from their topics."""
        self._log.info("state restored", keys=keys, seconds=round(seconds, 3))

    def missed(self, partition: TopicPartition, records: int) -> None:
        """Records were deleted before they were read."""
        self._missed.inc(records)
        self._log.warning(
            "records were deleted before they were read: raise retention.ms or retention.bytes of the topic, or add "
            "workers",
            partition=str(partition),
            records_at_most=records,
        )

    def waiting(self, partitions: Collection[TopicPartition], outputs: Collection[str]) -> None:
        """These are all partitions that wait, until these outputs have as many partitions as the input."""
        self._waiting.set(len(partitions))
        self._totals.waiting = len(partitions)
        if partitions:
            self._log.warning(
                "partitions wait, and the others are read: results go to the partition number of their frame, and "
                "outputs have too few partitions; add partitions to them, and the worker goes on within seconds",
                partitions=[str(each) for each in sorted(partitions)],
                outputs=list(outputs),
            )
        else:
            self._log.info("no partition waits any more")

    def states_dropped(self, count: int) -> None:
        """These hidden states were deleted: their cameras begin anew."""
        self._dropped.inc(count)

    def lag(self, lag: Mapping[TopicPartition, int]) -> None:
        """How far behind each partition is, as far as brokers answer."""
        if self._totals.lag is None:  # the source still knows what the brokers said last
            return
        self._totals.lag = dict(lag)
        for partition, records in lag.items():
            self._lag.labels(partition.topic, str(partition.partition)).set(records)

    def brokers_answered(self, unreachable_for: float) -> None:
        """Brokers were asked, and have not answered for this many seconds; 0 if they did. From any thread."""
        self._unreachable.set(unreachable_for)
        if unreachable_for:
            self._totals.lag = None
            self._lag.clear()
        elif self._totals.lag is None:
            self._totals.lag = {}

    def forget(self, partition: TopicPartition) -> None:
        """Remove the series of a partition that went to another worker, and of cameras seen nowhere else."""
        self._lag.remove(partition.topic, str(partition.partition))
        for camera in self._cameras.forget(partition):
            self._verdicts.forget(camera)
            for series in (self._frames, self._skipped, self._late, self._ahead, self._unknown):
                series.remove_by_labels({"camera": camera})

    def counts(self) -> Counts:
        """Return what the worker has done so far. From any thread."""
        return self._totals.now(max_cameras=self._cameras.limit if self._cameras.is_full else None)

    def drained(self, *, frames_left: int) -> None:
        """The worker has published what was in flight."""
        self._log.info("drained", frames_left=frames_left)

    def _predicted(self, camera: str, predictions: Sequence[Prediction], published_at: EventMillis) -> None:
        self._frames.labels(camera, PREDICTED).inc(len(predictions))
        self._totals.outcomes[PREDICTED] += len(predictions)
        if verdicts := [each.verdict for each in predictions if each.verdict is not None]:
            self._totals.rightness = self._totals.rightness.plus(self._verdicts.count(camera, verdicts))
        for prediction in predictions:
            frame, verdict = prediction.frame, prediction.verdict
            self._age.observe(max(0, published_at - frame.captured_at) / 1000)
            if isinstance(verdict, BoxVerdict):
                if verdict.unknown:
                    self._unknown_labels(camera, frame, verdict.unknown)
            elif verdict is None and frame.label is not None and isinstance(prediction.result, _WITH_LABELS):
                self._unknown_labels(camera, frame, (frame.label,))

    def _unknown_labels(self, camera: str, frame: Frame, labels: Collection[str]) -> None:
        self._unknown.labels(camera).inc()
        self._totals.unknown += 1
        for label in labels:
            if self._worth_telling(told := f"label {label}"):
                so_far = self._reported[told]
                self._log.warning("label names no class of the model", label=label, camera=frame.camera, so_far=so_far)

    def _rejected(self, letter: DeadLetter) -> None:
        camera = self._cameras.series(letter.camera, letter.position.partition)
        self._frames.labels(camera, REJECTED).inc()
        self._dead.labels(letter.reason.value).inc()
        self._totals.outcomes[REJECTED] += 1
        self._totals.rejected[letter.reason.value] += 1
        if letter.reason is Reason.CLOCK_AHEAD:
            self._clock_ahead(camera, letter.camera, letter.text)
        if self._worth_telling(letter.reason):
            self._log.warning(
                "dead letter",
                reason=letter.reason.value,
                text=letter.text,
                camera=letter.camera,
                position=str(letter.position),
                so_far=self._reported[letter.reason],
            )

    def _from_future(self, frame: Frame) -> None:
        ahead = (frame.captured_at - frame.arrived_at) / 1000
        series = self._cameras.series(frame.camera, frame.position.partition)
        self._clock_ahead(series, frame.camera, f"its frames are captured {ahead:.0f} s later than now")

    def _clock_ahead(self, series: str, camera: str, text: str) -> None:
        """Count a frame from the future, and tell it once of each camera."""
        self._ahead.labels(series).inc()
        told = f"clock of {camera}"
        if told not in self._reported and self._worth_telling(told):
            self._log.warning(
                "the clock of a camera is ahead of the worker's: set the one that is wrong", camera=camera, text=text
            )

    def _worth_telling(self, what: str) -> bool:
        """Say yes to the 1st, 10th, 100th, ... of its kind: a flood of bad frames must not flood the log."""
        if what not in self._reported and len(self._reported) >= self._max_kinds:
            return False
        self._reported[what] += 1
        return str(self._reported[what]).strip("0") == "1"
