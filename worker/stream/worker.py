"""The loop: poll, gather, collect, publish, commit. The only place where things happen."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from worker import wire
from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import FrameRejected, Stopped
from worker.domain.latency import LatencyControl
from worker.domain.records import Record, TopicPartition
from worker.domain.results import dead_letter
from worker.domain.samples import Sample
from worker.domain.times import EventMillis, Monotonic
from worker.ops.telemetry import Telemetry
from worker.ports import Clocks, Load, Restore, Source
from worker.stream.loop_settings import LoopSettings
from worker.stream.model_calls import ModelCalls
from worker.stream.partition import Partition
from worker.stream.publisher import Publisher
from worker.stream.silence import Silence
from worker.stream.stages import Stages

CALL_OVER_WITHIN: Final = 0.002
"""Seconds between two looks whether a thread of the model has become free: nothing else ends the wait for records."""

MakePartition = Callable[[TopicPartition], Partition]
Closed = list[tuple[Partition, Batch]]


class Worker:
    """Reads frames, batches them by window, runs the model, publishes results, and commits what was confirmed.

    `worker/stream/publisher.py` has the order of these steps and what follows from it. Any error but a bad frame ends
    `run` before anything that depends on it is committed.

    Attributes:
        control: what is known of arrivals and costs, and the limits that follow.
        stages: which stage the loop is in.
        last_step: when the loop last completed a step or a call of the model; `last_poll` when it last asked for
            frames, and `last_read_back` when it last went on to read back what was saved.
        joined: the group has assigned partitions at least once.
        subscribed_at: when the worker asked for partitions.
    """

    def __init__(  # noqa: PLR0913 the composition root hands each collaborator over by name
        self,
        *,
        source: Source,
        publisher: Publisher,
        calls: ModelCalls,
        make_partition: MakePartition,
        control: LatencyControl,
        restore: Restore,
        stages: Stages,
        telemetry: Telemetry,
        settings: LoopSettings,
        clocks: Clocks,
    ) -> None:
        self.control = control
        self.stages = stages
        self._source = source
        self._publisher = publisher
        self._calls = calls
        self._make_partition = make_partition
        self._restore = restore
        self._telemetry = telemetry
        self._settings = settings
        self._wall, self._monotonic = clocks.wall, clocks.monotonic
        self._partitions: dict[TopicPartition, Partition] = {}
        self._limits = BatchLimits(settings.bounds.linger, settings.bounds.max_frames)
        self._backlog = self._stopping = self._broken = False
        self._sampled = 0
        self._silence = Silence(longest_step=2 * settings.idle_poll)
        self.last_step = self.last_poll = self.last_read_back = clocks.monotonic()
        self.joined = False
        self.subscribed_at: Monotonic | None = None

    @property
    def limits(self) -> BatchLimits:
        """When a batch closes, for now."""
        return self._limits

    @property
    def assigned(self) -> Collection[TopicPartition]:
        """The partitions that are read. From any thread."""
        return tuple(self._partitions)

    @property
    def busy_since(self) -> Monotonic | None:
        """When the oldest call of the model began that is not collected; None if there is none."""
        return self._calls.busy_since

    def stop(self) -> None:
        """Ask the loop to drain and return; safe to call from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped or until the source ends, then publish and commit what is in flight.

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
            on_lost=lambda names: self._forget(names, "lost"),
            on_committed=self._on_committed,
            on_missed=self._telemetry.missed,
            on_waiting=self._telemetry.waiting,
        )
        self.subscribed_at = self._monotonic()

    def drain(self) -> None:
        """Finish what is in flight, publish it, and commit it.

        A worker that was told to stop leaves clips that are open to its successor, which reads their frames again.
        """
        now, over = self._monotonic(), not self._stopping
        self._submit([(each, batch) for each in self._assigned for batch in each.drain(now, self._limits, over=over)])
        while self._collect(wait=True):
            pass
        self._publisher.hand_over(self._assigned, self._assigned)
        self._telemetry.drained(frames_left=sum(len(each.ledger) for each in self._assigned))

    def step(self) -> bool:
        """Poll once, and do what there is to do; tell whether more may come."""
        self.last_poll = self._monotonic()
        with self.stages("poll"):
            records = self._source.poll(self._patience())
        if records is None:
            return False
        if not self._restore_partitions():
            return False
        self._submit(self._gather(records))
        for name, end in self._source.passed().items():
            self._partitions[name].ledger.pass_to(end)
        if self._is_full():
            self._submit(self._close_all(ClosedBy.SIZE))
        self._backlog = self._calls.backlogged  # as the poll leaves it: each call that is waited for makes room
        while self._collect(wait=self._calls.backlogged or self._is_full()):  # not reading on is the back-pressure
            self._publish_and_commit()
        self._publish_and_commit()
        while self._is_full() and self._calls.busy_since is None and self._relieve():
            self._publish_and_commit()
        return True

    @property
    def _assigned(self) -> Collection[Partition]:
        return self._partitions.values()

    def _in_flight_bytes(self) -> int:
        return sum(partition.in_flight_bytes for partition in self._assigned)

    def _is_full(self) -> bool:
        return self._in_flight_bytes() > self._settings.max_in_flight_bytes

    def _patience(self) -> float:
        """Return how many seconds a poll may wait: until the next thing is due, or a call may be over."""
        deadlines = [self._linger_expires_at()]
        if any(partition.ledger.has_ready() for partition in self._assigned):
            deadlines.append(self._publisher.due_at(backlog=self._backlog))
        now = self._monotonic()
        waits = [max(0.0, deadline - now) for deadline in deadlines if deadline is not None]
        return min([self._settings.idle_poll if self._calls.busy_since is None else CALL_OVER_WITHIN, *waits])

    def _linger_expires_at(self) -> Monotonic | None:
        opened = [at for partition in self._assigned if (at := partition.windows.oldest()) is not None]
        return Monotonic(min(opened) + self._limits.linger) if opened else None

    def _gather(self, records: Sequence[Record]) -> Closed:
        """Parse what was read and put it into its windows; return the batches that this closes, or that are due."""
        arrived_at, arrived, closed = self._wall(), self._monotonic(), Closed()
        self._update_limits(arrived)
        self._sampled = 0
        if records:
            with self.stages("parse"):
                for record in records:
                    closed += self._take(record, arrived_at, arrived)
        if self._settings.awaits_silence and self._silence.polled(records, arrived):
            closed += self._hear_silence(arrived)
        if self._settings.sheds_load:
            for partition in self._assigned:
                closed += self._add(partition, partition.release(self._load().room), arrived)
            if self._load().room <= 0:  # nothing is saved by lingering, and what came first shall be predicted first
                closed += self._close_all(ClosedBy.LINGER)
        self.control.arrived(self._sampled)
        expires_at = self._linger_expires_at()
        if expires_at is not None and self._monotonic() >= expires_at:
            closed += self._close_all(ClosedBy.LINGER)
        return closed

    def _take(self, record: Record, arrived_at: EventMillis, arrived: Monotonic) -> Closed:
        partition = self._partitions[record.position.partition]
        try:
            encoded = wire.parse_frame(record, arrived_at=arrived_at, arrived=arrived)
        except FrameRejected as error:
            camera = wire.camera_of(record)
            partition.reject(dead_letter(record, stage="parse", error=error, arrived_at=arrived_at, camera=camera))
            return []
        load = self._load() if self._settings.sheds_load else None
        return self._add(partition, partition.take(encoded, self._silence.now, load), arrived)

    def _add(self, partition: Partition, samples: Iterable[Sample], now: Monotonic) -> Closed:
        closed = Closed()
        for sample in samples:
            self._sampled += 1
            begun = self._calls.decode_early(sample)
            closed += [(partition, batch) for batch in partition.windows.add(begun, now, self._limits)]
        return closed

    def _ahead(self) -> int:
        """Count the samples that the model has not answered for."""
        return self._calls.ahead + sum(len(partition.windows) for partition in self._assigned)

    def _load(self) -> Load:
        """Return what the worker can take on."""
        ahead, call = self._ahead(), self._calls.call_size
        return Load(room=2 * call - ahead, in_process=self._limits.linger + self.control.until_published(ahead, call))

    def _is_outdated(self, partition: Partition, sample: Sample) -> bool:
        """Ask once more before the call of the model begins: by then it is known how long the sample has waited."""
        begun, call = self._calls.begun, self._calls.call_size
        return partition.gives_up(sample, self._wall(), self.control.until_published(begun, call))

    def _hear_silence(self, now: Monotonic) -> Closed:
        """Let samplers decide what a camera's silence decides, in partitions of which everything was read."""
        heard, lag, closed = self._silence.looked(), self._source.lag(), Closed()
        for name, partition in self._partitions.items():
            # Where something was read, more of a partition that lags may have come, and wait for its turn.
            if not heard or lag.get(name, 0) == 0:
                load = self._load() if self._settings.sheds_load else None
                closed += self._add(partition, partition.pass_time(self._silence.now, load), now)
        return closed

    def _relieve(self) -> bool:
        """Let go of frames that open clips hold; tell whether there were any."""
        for partition in sorted(self._assigned, key=lambda each: each.in_flight_bytes, reverse=True):
            samples = partition.relieve()
            if samples is not None:
                self._submit(self._add(partition, samples, self._monotonic()))
                self._telemetry.relieved(partition.name)
                return True
        return False

    def _update_limits(self, now: Monotonic) -> None:
        if (limits := self.control.limits(now)) is not self._limits:
            self._limits, self._calls.max_call = limits, limits.frames
            self._telemetry.batch_limits(limits, self.control)

    def _close_all(self, closed_by: ClosedBy) -> Closed:
        return [(each, batch) for each in self._assigned for batch in each.windows.drain(closed_by)]

    def _submit(self, closed: Iterable[tuple[Partition, Batch]]) -> None:
        """Hand closed batches to the model. If samples have waited for a thread that is free, open ones join them."""
        if self._calls.has_room_for_more:
            closed = [*closed, *self._close_all(ClosedBy.LINGER)]
        for partition, batch in closed:
            self._telemetry.batch_closed(batch, partition.name)
            self._calls.submit(partition, batch)
        if self._settings.sheds_load:
            self._calls.leave_out(self._is_outdated)
        self._calls.begin()

    def _collect(self, *, wait: bool = False) -> bool:
        """Note what came of the oldest call; False if there is none, or it is not over and `wait` is false."""
        self.stages.current = "classify"
        finished = self._calls.collect(wait=wait)
        if finished is None:
            return False
        self._telemetry.stages_took(finished.seconds)
        self.control.called(sum(finished.answered) + finished.failed, finished.took)
        self._telemetry.model_called(finished.answered, limit=self._calls.call_size)
        for partition, outcome in finished.outcomes:
            partition.ledger.finish(outcome)
        self._submit(())
        return True

    def _publish_and_commit(self) -> None:
        """Publish and commit if it is time: after every call of the model, not only every poll."""
        self.last_step = self._monotonic()
        if self.last_step >= self._publisher.due_at(backlog=self._backlog) or self._is_full():
            self._publisher.publish(self._assigned)
        self._telemetry.in_flight(self._in_flight_bytes())
        if self._publisher.commit_due(self.last_step):
            self._publisher.commit(self._assigned, wait=False)

    def _restore_partitions(self) -> bool:
        """Read back what was saved of partitions that have come; before that no frame of theirs is taken.

        Returns:
            False if the worker was told to stop meanwhile.
        """
        new = sorted(name for name, partition in self._partitions.items() if not partition.restored)
        if not new:
            return True
        began = self._monotonic()
        with self.stages("restore"):
            try:
                checkpoints = self._source.checkpoints(new, self._stop_reading_back)
                saved = list(self._restore(new, self._stop_reading_back))
                # Last of all: what was saved cannot lie beyond an end that is asked for later.
                extents = self._source.extents(new, self._stop_reading_back)
            except Stopped:
                return False
            offsets = {}
            for name in new:
                mine = [each for each in saved if each.key.partition == name]
                restored = self._partitions[name].restore(checkpoints.get(name), mine, extents.get(name))
                self._telemetry.restored(name, restored)
                offsets[name] = restored.start.checkpoint.next_offset
            self._source.begin(offsets)
        self._telemetry.all_restored(len(saved), seconds=self._monotonic() - began)
        return True

    def _stop_reading_back(self) -> bool:
        """Tell whether to stop. Reading back asks so after each answer, and no wait for one is without end."""
        self.last_read_back = self._monotonic()
        return self._stopping

    def _on_assigned(self, names: Collection[TopicPartition]) -> None:
        self.joined = True
        self._partitions.update({name: self._make_partition(name) for name in sorted(names)})
        self._telemetry.rebalanced("assigned", names, assigned=len(self._partitions))

    def _on_committed(self, stored: Mapping[TopicPartition, Checkpoint], error: str | None) -> None:
        self._publisher.committed(self._partitions, stored, error)

    def _on_revoked(self, names: Collection[TopicPartition]) -> None:
        """Publish and commit what is ready, then forget: the new owner reads the rest again."""
        if not self._broken:  # leaving the group revokes too
            leaving = [self._partitions[name] for name in names if name in self._partitions]
            self._publisher.hand_over(self._assigned, leaving)
        self._forget(names, "revoked")

    def _forget(self, names: Collection[TopicPartition], event: str) -> None:
        for name in names:
            partition = self._partitions.pop(name, None)
            if partition is not None:
                partition.current = False
                self._calls.forget(partition)
            self._telemetry.forget(name)
        self._telemetry.rebalanced(event, names, assigned=len(self._partitions))
