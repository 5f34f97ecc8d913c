"""The loop: poll, gather, finish, deliver, commit. The only place where things happen."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from worker import wire
from worker.domain.batches import BatchLimits, ClosedBy, FrameBatch
from worker.domain.errors import DeliveryRefused, FrameRejected
from worker.domain.latency import LatencyControl
from worker.domain.records import Record, TopicPartition
from worker.domain.results import Outcome, Prediction
from worker.domain.times import EventMillis, Monotonic
from worker.ops.telemetry import Telemetry
from worker.ports import MonotonicClock, RestoreTallies, Sink, Source, WallClock
from worker.state.accuracy import RunningAccuracy
from worker.stream.batcher import WindowBatcher
from worker.stream.ledger import OffsetLedger
from worker.stream.loop_settings import LoopSettings
from worker.stream.model_calls import Lane
from worker.stream.pipeline import Pipeline, reject

CALL_OVER_WITHIN: Final = 0.002
"""Seconds between two looks whether a thread of the model has become free: nothing else ends the wait for records."""
MAX_REFUSALS: Final = 100
"""Refused transactions in a row after which the worker stops: by then a poll should have told it what it has left."""


class StreamProcessor:
    """Reads frames, batches them by window, publishes what the model says, and commits what was confirmed.

    The order is the same in both modes of delivery:

    1. predictions, dead letters and the accuracy that includes them are written;
    2. the broker confirms every one of them;
    3. the frames are settled: accuracy and offsets move on in memory;
    4. the next offsets are committed.

    At least once, a crash between any two steps reads the frames again. Accuracy does not count them again, because
    each of its records carries the offset it includes. Exactly once, step 4 is part of step 2: outputs and offsets are
    one transaction. Any error but a bad frame ends `run` before step 3.

    Attributes:
        control: what is known of arrivals and costs, and the limits that follow.
    """

    def __init__(  # noqa: PLR0913 the composition root hands each collaborator over by name
        self,
        *,
        source: Source,
        sink: Sink,
        pipeline: Pipeline,
        lane: Lane,
        batcher: WindowBatcher,
        control: LatencyControl,
        restore: RestoreTallies,
        telemetry: Telemetry,
        settings: LoopSettings,
        wall: WallClock,
        monotonic: MonotonicClock,
    ) -> None:
        self._source = source
        self._sink = sink
        self._pipeline = pipeline
        self._lane = lane
        self._batcher = batcher
        self.control = control
        self._restore = restore
        self._telemetry = telemetry
        self._settings = settings
        self._wall = wall
        self._monotonic = monotonic
        self._ledger = OffsetLedger[Outcome]()
        self._accuracy = RunningAccuracy()
        self._assigned, self._unrestored = set[TopicPartition](), set[TopicPartition]()
        self._committed: dict[TopicPartition, int] = {}
        self._next_commit = self._last_publication = Monotonic(0.0)
        self._refusals = 0
        self._behind = self._stopping = self._broken = False
        self.last_step = self.last_poll = monotonic()
        self.stage = "start"
        self.joined = False
        self.subscribed_at: Monotonic | None = None

    @property
    def busy_since(self) -> Monotonic | None:
        """When the oldest call of the model began that is not taken in; None if there is none."""
        return self._lane.busy_since

    @property
    def limits(self) -> BatchLimits:
        """When a batch closes, for now."""
        return self._batcher.limits

    def stop(self) -> None:
        """Ask the loop to drain and return; safe to call from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped or until the source ends, then finish what is open and commit it.

        Raises:
            WorkerError: something other than a frame is broken; whatever was not confirmed is uncommitted.
        """
        try:
            self.join()
            while not self._stopping and self.step():
                pass
            self.drain()
        except BaseException:
            self._broken = True
            raise

    def join(self) -> None:
        """Ask for partitions; they come in later steps."""
        self._source.subscribe(
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
            on_lost=lambda partitions: self._forget(partitions, "lost"),
            on_committed=self._on_committed,
        )
        self.subscribed_at = self._monotonic()

    def drain(self) -> None:
        """Finish what is open, publish it and commit it."""
        self._hand_on(self._batcher.drain())
        while self._collect(wait=True):
            pass
        self._settle_all(self._assigned)
        self._telemetry.drained(frames_left=len(self._ledger))

    def step(self) -> bool:
        """Poll once, and do what there is to do; tell whether more may come."""
        self.last_poll = self._monotonic()
        with self._stage("poll"):
            records = self._source.poll(self._patience())
        if records is None:
            return False
        self._restore_accuracy()
        self._hand_on(self._gather(records))
        if self._is_full():
            self._hand_on(self._batcher.drain(ClosedBy.SIZE))
        self._behind = self._lane.crowded  # as the poll leaves it: each call that is waited for makes room
        while self._collect(wait=self._lane.crowded or self._is_full()):  # not reading on is the back-pressure
            self._move_on()
        self._move_on()
        return True

    @property
    def _next_publication(self) -> Monotonic:
        interval = self._settings.backlog_interval if self._behind else self._settings.publication_interval
        return Monotonic(self._last_publication + interval)

    def _is_full(self) -> bool:
        return self._ledger.in_flight_bytes > self._settings.max_in_flight_bytes

    def _patience(self) -> float:
        deadlines = [self._batcher.deadline(), self._next_publication if self._ledger.has_ready() else None]
        now = self._monotonic()
        waits = [max(0.0, deadline - now) for deadline in deadlines if deadline is not None]
        return min([self._settings.idle_poll if self._lane.busy_since is None else CALL_OVER_WITHIN, *waits])

    def _gather(self, records: Sequence[Record]) -> list[FrameBatch]:
        arrived_at, arrived, closed = self._wall(), self._monotonic(), list[FrameBatch]()
        if (limits := self.control.limits(arrived)) is not self._batcher.limits:
            self._batcher.limits, self._lane.most = limits, limits.frames
            self._telemetry.batch_limits(limits, self.control)
        if records:
            self.control.arrived(len(records))
            with self._stage("parse"):
                for record in records:
                    closed += self._take_in(record, arrived_at, arrived)
        return closed + self._batcher.due(self._monotonic())

    def _take_in(self, record: Record, arrived_at: EventMillis, arrived: Monotonic) -> list[FrameBatch]:
        self._ledger.begin(record.position, len(record.value or b""))
        try:
            frame = wire.parse_frame(record, arrived_at=arrived_at, arrived=arrived)
        except FrameRejected as error:
            letter = reject(record, stage="parse", error=error, arrived_at=arrived_at, camera=wire.camera_of(record))
            self._ledger.finish(record.position, letter)
            return []
        self._lane.expect(frame)
        return self._batcher.add(frame, arrived)

    def _hand_on(self, closed: Sequence[FrameBatch]) -> None:
        """Let the lane begin what it has room for; if frames have waited for that, what is open goes along."""
        if self._lane.takes_more:
            closed = [*closed, *self._batcher.drain(ClosedBy.LINGER)]
        for batch in closed:
            self._telemetry.batch_closed(batch)
        self._lane.add(closed)

    def _collect(self, *, wait: bool = False) -> bool:
        """Take in what came of the oldest call; False if there is none, or it is not over and nobody waits for it."""
        self.stage = "classify"
        finished = self._lane.collect(wait=wait)
        if finished is None:
            return False
        self._telemetry.stages_took(finished.seconds)
        self.control.called(sum(finished.answered) + finished.failed, finished.took)
        self._telemetry.model_called(finished.answered, limit=self._lane.call_size)
        for outcome in finished.outcomes:
            self._ledger.finish(outcome.position, outcome)
        self._hand_on(())
        return True

    def _deliver(self, *, within: float | None = None) -> None:
        """Publish what is ready, and settle it."""
        ready = self._ledger.ready()
        if not ready:
            return
        self._last_publication = self._monotonic()
        outcomes = [outcome for partition in ready.values() for outcome in partition]
        tallies = self._accuracy.stage(outcome for outcome in outcomes if isinstance(outcome, Prediction))
        next_offsets = {partition: done[-1].position.next_offset for partition, done in ready.items()}
        with self._stage("publish") as took:
            records = self._pipeline.render(outcomes, tallies, published_at=self._wall())
            try:
                self._sink.publish(records, next_offsets, within=within or self._settings.publish_within)
            except DeliveryRefused as refusal:
                self._refusals += 1
                self._telemetry.refused(str(refusal))
                if self._refusals > MAX_REFUSALS:
                    raise
                return
        self._refusals = 0
        with self._stage("settle"):
            self._accuracy.settle(tallies)
            self._ledger.settle(next_offsets)
            published_at = self._wall()
            if self.control.target is not None:
                overheads = [each.overhead(published_at) for each in outcomes if isinstance(each, Prediction)]
                self.control.published(overheads, took())
            self._telemetry.delivered(outcomes, published_at=published_at)
            if self._sink.exactly_once:
                self._on_committed(next_offsets, None)

    def _move_on(self) -> None:
        """Publish and commit if it is time: after every call of the model, not only every poll."""
        self.last_step = self._monotonic()
        if self.last_step >= self._next_publication or self._is_full():
            self._deliver()
        self._telemetry.in_flight(self._ledger.in_flight_bytes)
        if self.last_step >= self._next_commit:
            self._commit(wait=False)

    def _settle_all(self, partitions: Collection[TopicPartition]) -> None:
        """Publish and commit what is ready; what took too long to publish is committed without waiting for it."""
        deadline = self._monotonic() + self._settings.hand_over_within
        self._deliver(within=self._settings.hand_over_within)
        self._commit(wait=self._monotonic() < deadline, partitions=partitions)

    def _commit(self, *, wait: bool, partitions: Collection[TopicPartition] | None = None) -> None:
        settled = self._ledger.settled()
        # What a failed commit left out differs from what is committed, and so is said again.
        due = {
            partition: next_offset
            for partition, next_offset in settled.items()
            if self._committed.get(partition) != next_offset and (partitions is None or partition in partitions)
        }
        if due:
            self._source.commit(due, wait=wait)
        self._telemetry.lag(self._source.lag())
        self._next_commit = Monotonic(self._monotonic() + self._settings.commit_interval)

    def _restore_accuracy(self) -> None:
        if self._unrestored:
            began = self._monotonic()
            self._accuracy.restore(tallies := list(self._restore(self._unrestored)))
            self._unrestored.clear()
            self._telemetry.restored(len(tallies), seconds=self._monotonic() - began)

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self.joined = True
        self._assigned.update(partitions)
        self._unrestored.update(partitions)
        self._telemetry.rebalanced("assigned", partitions, assigned=len(self._assigned))

    def _on_committed(self, next_offsets: Mapping[TopicPartition, int], error: str | None) -> None:
        """Remember what the broker has stored; it may tell of partitions that have gone meanwhile."""
        self._committed.update({p: n for p, n in next_offsets.items() if p in self._assigned})
        self._telemetry.committed(error)

    def _on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Publish and commit what is ready, then forget: what is open is read again elsewhere."""
        if not self._broken:  # leaving the group revokes too
            self._settle_all(partitions)
        self._forget(partitions, "revoked")

    def _forget(self, partitions: Collection[TopicPartition], event: str) -> None:
        self._assigned.difference_update(partitions)
        self._unrestored.difference_update(partitions)
        for partition in partitions:
            self._batcher.forget(partition)
            self._lane.forget(partition)
            self._ledger.forget(partition)
            self._accuracy.forget(partition)
            self._committed.pop(partition, None)
            self._telemetry.forget(partition)
        self._telemetry.rebalanced(event, partitions, assigned=len(self._assigned))

    @contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[], float]]:
        """Measure a stage; what it yields tells, once the stage is over, how many seconds it took."""
        self.stage, began, took = name, self._monotonic(), 0.0
        yield lambda: took
        took = self._monotonic() - began
        self._telemetry.stages_took([(name, took)])
