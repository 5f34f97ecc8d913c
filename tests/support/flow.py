"""A whole worker on the in-memory adapters, with clocks that advance at each reading."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from tests.support.colours import ColourModel, decode_colour
from tests.support.executors import Inline
from worker import wire
from worker.adapters.memory import Event, MemorySink, MemorySource
from worker.app.compose import EACH_FRAME_ALONE, ModelParts, Ports, Sampling, Threads, compose
from worker.domain.extents import Extent
from worker.domain.latency import Bounds
from worker.domain.records import OutboundRecord, Position, Record, Stopping, TopicPartition
from worker.domain.tallies import Tally
from worker.domain.times import EventMillis, Monotonic
from worker.ops.telemetry import Telemetry
from worker.ports import Annotate, Clocks, Decode, PartitionState, Saved
from worker.stream.loop_settings import LoopSettings
from worker.stream.render import OutputTopics
from worker.stream.worker import Worker

TOPICS = OutputTopics("predictions", "accuracy", "dead-letters")


@dataclass(slots=True)
class Ticks:
    """A clock that advances by a small step at each reading.

    Attributes:
        began: the wall clock's first reading, in milliseconds.
    """

    step: float = 0.001
    now: float = 0.0
    began: int = 1_700_000_000_000

    def monotonic(self) -> Monotonic:
        self.now += self.step
        return Monotonic(self.now)

    def wall(self) -> EventMillis:
        return EventMillis(self.began + int(self.now * 1000))


@dataclass(slots=True)
class Flow:
    """One worker from its start to its end.

    Attributes:
        model: implements `ports.Model`.
        published_before: returns what is saved in the compacted topics when a partition is assigned.
        extents: what partitions hold; of others it is not known.
        commit_interval: seconds.
        make_executor: returns the executor of the model: it runs calls at once, or when told to.
        sampling: which frames the model sees.
        topics: where results go.
        annotate: draws predictions.
        make_hidden: makes the hidden states of a recurrent model.
        window: milliseconds.
        linger: seconds.
        target: seconds from capture to prediction; replaces the linger.
        max_poll_interval: seconds.
        began: the worker's wall clock at its start, in milliseconds.
    """

    script: Iterable[Event]
    sink: MemorySink = field(default_factory=MemorySink)
    failing_commits: Collection[int] = ()
    model: Any = field(default_factory=ColourModel)
    decode: Decode = decode_colour
    published_before: Callable[[], Iterable[Saved]] = tuple
    extents: Mapping[TopicPartition, Extent] | None = None
    window: int = 1_000
    lateness: int = 0
    linger: float = 10.0
    target: float | None = None
    max_poll_interval: float = 300.0
    max_frames: int = 8
    max_in_flight_bytes: int = 2**20
    max_cameras: int = 10
    commit_interval: float = 0.0
    make_executor: Callable[[], Executor] = Inline
    sampling: Sampling = EACH_FRAME_ALONE
    topics: OutputTopics = TOPICS
    annotate: Annotate | None = None
    make_hidden: Callable[[], PartitionState] | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    make_source: type[MemorySource] = MemorySource
    awaits_silence: bool = False
    began: int = 1_700_000_000_000
    source: MemorySource = field(init=False)
    worker: Worker = field(init=False)
    inference: Executor = field(init=False)

    def __post_init__(self) -> None:
        ticks = Ticks(began=self.began)
        self.inference = self.make_executor()
        self.source = self.make_source(self.script, failing_commits=self.failing_commits, extents=self.extents)
        self.worker = compose(
            Ports(self.source, self.sink, self._restore),
            ModelParts(self.model, self.decode, self.annotate, self.make_hidden),
            Threads(Inline(), self.inference),
            Clocks(ticks.wall, ticks.monotonic),
            topics=self.topics,
            settings=LoopSettings(
                window=self.window,
                lateness=self.lateness,
                bounds=Bounds(self.target, self.linger, self.max_frames, self.max_poll_interval),
                max_failed_share=0.5,
                max_in_flight_bytes=self.max_in_flight_bytes,
                commit_interval=self.commit_interval,
                publication_interval=self.commit_interval if self.sink.exactly_once else 0.0,
                backlog_interval=2 * self.commit_interval,
                publish_within=30.0,
                hand_over_within=3.0,
                awaits_silence=self.awaits_silence,
            ),
            telemetry=Telemetry(self.registry, max_cameras=self.max_cameras),
            sampling=self.sampling,
        )

    def _restore(self, partitions: Collection[TopicPartition], _: Stopping) -> Iterable[Saved]:
        return [each for each in self.published_before() if each.key.partition in partitions]

    def run(self) -> "Flow":
        self.worker.run()
        return self

    def committed(self) -> dict[TopicPartition, int]:
        """Return the next offset committed of each partition."""
        return {partition: each.next_offset for partition, each in self.source.committed.items()}

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"vision_worker_{name}", labels)

    def messages(self) -> list[wire.Message]:
        return [wire.decode_message(r.value or b"") for r in self._published(TOPICS.predictions)]

    def predictions(self) -> list[wire.PredictionMessage]:
        return [wire.decode_prediction(r.value or b"") for r in self._published(TOPICS.predictions)]

    def dead_letters(self) -> list[OutboundRecord]:
        return self._published(TOPICS.dead_letters)

    def tallies(self) -> list[Tally]:
        """Return every published tally, oldest first."""
        return [tally for r in self._published(TOPICS.accuracy) if (tally := wire.parse_accuracy(as_read(r)))]

    def _published(self, topic: str) -> list[OutboundRecord]:
        return [record for record in self.sink.published if record.topic == topic]


def as_read(sent: OutboundRecord) -> Record:
    """Return a published record as a consumer would read it."""
    position = Position(TopicPartition(sent.topic, sent.partition or 0), 0)
    return Record(position, sent.key, sent.value, sent.headers, EventMillis(0))
