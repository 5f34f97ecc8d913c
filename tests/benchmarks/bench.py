"""The environment of all measurements: one Kafka, input topics that are filled once, and new output topics per run."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.benchmarks.frames import PARTITIONS, USUAL, Size, backlog, name_of, write_pictures
from tests.benchmarks.limit import ENGINES, BareLoop, find_limit
from tests.benchmarks.measure import rate, spans
from tests.benchmarks.models import TimedModel, light
from tests.benchmarks.processes import Contestant, Place, Start, StartBare, bare, worker
from tests.benchmarks.profiles import Settings, model_settings, tuned
from tests.support.workers import PATIENCE, persistently, wait_until
from worker.adapters.kafka import KafkaAdmin, KafkaReader, KafkaSink, Topic
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.models.container import cores
from worker.settings import Topics

CHECK_EVERY: Final = 0.25
"""Seconds."""
STAMPED: Final = {"message.timestamp.type": "LogAppendTime"}
"""Results get the broker's timestamp: the same clock for all contestants, and not their own."""

During = Callable[[Sequence[Contestant]], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Effort:
    """The extent of the measurements.

    Attributes:
        rounds: rounds of the most important contest.
        few: rounds of all other contests.
        seconds: minimum measured time of a run.
        results: minimum number of results in this time: several batches, because the time between two batches cannot be
            observed.
        warm: seconds of warm-up before.
    """

    rounds: int
    few: int
    seconds: float
    results: int
    warm: float


QUICK: Final = Effort(rounds=3, few=1, seconds=3, results=64, warm=1)
WHOLE: Final = Effort(rounds=5, few=3, seconds=8, results=128, warm=2)


class Bench:
    """The environment of a part of the benchmark.

    Args:
        servers: bootstrap servers of a Kafka that nothing else uses.
        folder: folder for logs, settings and pictures.
        quick: whether the light model and frames of the usual size are enough.
    """

    def __init__(self, servers: str, folder: Path, *, quick: bool) -> None:
        self.servers, self.folder, self.quick = servers, folder, quick
        self.effort = QUICK if quick else WHOLE
        self.cores = cores()
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._filled: dict[Size, int] = {}
        self._reached: dict[tuple[str, Size], float] = {}
        self._limits: dict[tuple[str, ...], Mapping[BareLoop, float]] = {}

    def tell(self, text: str) -> None:
        """Print a line immediately."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    @cached_property
    def profile(self) -> Settings:
        """The settings of a worker tuned for the light model and usual frames on all cores; tuned on first use."""
        return tuned(light(), write_pictures(USUAL, self.folder / "pictures"), self.servers, quick=self.quick)

    @cached_property
    def capacity(self) -> float:
        """Frames per second of the tuned worker with the light model; measured on first use or set by a part."""
        found = self.measure(light(), USUAL, worker(self.profile))
        self.tell(f"capacity: {found:.1f} frames/s")
        return found

    def on_another_kafka(self, servers: str, size: Size) -> "Bench":
        """Return a bench on another Kafka, with the same profile and the same number of frames of a size."""
        bench = Bench(servers, self.folder, quick=self.quick)
        bench.profile, bench._limits = self.profile, self._limits
        bench.fill(size, self._filled[size])
        return bench

    @cached_property
    def engine(self) -> Mapping[str, Any]:
        """The tuned settings of the model, with those that the tuned worker chooses itself."""
        return model_settings(self.profile, light())

    def loop(self, size: Size, loop: BareLoop, *, cores: int) -> StartBare:
        """Return a function that starts a bare loop on this number of cores."""
        return bare(write_pictures(size, self.folder / "pictures"), loop, cores=cores)

    def limits(
        self, model: TimedModel, given: Mapping[str, Any], engines: Sequence[str] = ENGINES
    ) -> Mapping[BareLoop, float]:
        """Return the best bare loops for a model, the fastest first; a short trial on first use finds them.

        Args:
            model: the model; the frames have the usual size.
            given: settings of the group model; precision and preparation apply.
            engines: those that can run it.
        """
        key = (model.name, *engines)
        if key not in self._limits:
            pictures = write_pictures(USUAL, self.folder / "pictures")
            self._limits[key] = find_limit(model.folder, pictures, given, engines)
            for loop, reached in self._limits[key].items():
                self.tell(f"{model.name}, bare loops on trial: {reached:.1f}/s with {loop}")
        return self._limits[key]

    def limit(self, model: TimedModel, size: Size) -> StartBare:
        """Return a function that starts the best bare loop for a model on all cores."""
        return self.loop(size, next(iter(self.limits(model, self.engine))), cores=self.cores)

    def fill_for(self, model: TimedModel, size: Size, start: StartBare | None = None, *, warm: float = 0) -> None:
        """Fill the topic with as many frames as the fastest contestant can process.

        Args:
            model: the model of all contestants.
            size: size of the frames.
            start: starts a bare loop about as fast as the fastest contestant; None takes a stream of the tuned engine
                for each core.
            warm: seconds of warm-up, if it is longer than usual.
        """
        key = (model.name, size)
        if key not in self._reached:
            usual = self.loop(size, BareLoop.on(self.engine, cores=self.cores), cores=self.cores)
            self._reached[key] = self.measure_bare(model, start or usual)
            self.tell(f"{model.name} {name_of(size)}, a bare loop: {self._reached[key]:.1f} frames/s")
        seconds = max(warm, self.effort.warm) + self.effort.seconds + 2
        self.fill(size, int(self._reached[key] * seconds * 1.3) + 2 * self.effort.results)

    def measure_bare(self, model: TimedModel, start: StartBare, *, during: During = nullcontext) -> float:
        """Return the frames per second of a loop that writes its progress to its log; arguments as of `measure`."""
        contestant = start(self.folder, model)
        try:
            wait_until(lambda: _running(contestant) and contestant.log.stat().st_size > 0, "the bare loop runs")
            time.sleep(self.effort.warm)
            begin, enough = time.time(), len(_times(contestant)) + self.effort.results
            with during([contestant]):
                time.sleep(self.effort.seconds)
                wait_until(
                    lambda: _running(contestant) and len(_times(contestant)) > enough,
                    "the bare loop makes progress",
                    every=CHECK_EVERY,
                )
            end = time.time()
        finally:
            contestant.stop()
        return rate(_times(contestant), begin, end)

    def measure(
        self, model: TimedModel, size: Size, *starts: Start, during: During = nullcontext, warm: float = 0
    ) -> float:
        """Return the frames per second of contestants that process a backlog together.

        Args:
            model: the model of all contestants.
            size: size of the frames.
            starts: functions that start the contestants; several contestants are in one group.
            during: context manager that is active during the measured time; again, if that was too short for a rate.
            warm: least seconds of warm-up after the first result.
        """
        effort = self.effort
        self.fill(size, self._filled.get(size, 0) or 3000)
        with self.place(_frames(size)) as place, ExitStack() as undo:
            contestants = [start(place, model) for start in starts]
            for contestant in contestants:
                undo.callback(contestant.stop)
            ends = self._filled[size]

            def begun() -> bool:
                return all(_running(each) and each.working for each in contestants) and self.count(place.results) > 0

            enough, seconds = 0, effort.seconds

            def reached() -> bool:
                count = self.count(place.results)
                return count >= ends or count > enough

            wait_until(begun, f"the first result ({contestants[0].log})")
            time.sleep(max(warm, effort.warm))
            while True:
                begin, enough = time.time(), self.count(place.results) + effort.results
                with during(contestants):
                    time.sleep(seconds)  # without counting: each count takes a few milliseconds of CPU time
                    wait_until(reached, f"enough results ({contestants[0].log})", every=CHECK_EVERY)
                end = time.time()
                for contestant in contestants:
                    _running(contestant)
                times = [record.timestamp / 1000 for record in self.read(place.results)]
                if spans(times, begin, end) or len(times) >= ends:
                    return rate(times, begin, end)
                seconds *= 2  # it wrote in bursts that are too far apart for this time

    def fill(self, size: Size, count: int) -> None:
        """Fill the topic of a size up to this number of frames."""
        topic, present = _frames(size), self._filled.get(size, 0)
        if not present:
            self.create(topic)
        if count > present:
            self.send(islice(backlog(topic, size, count), present, None))
            self._filled[size] = count

    @contextmanager
    def place(self, frames: str | None = None) -> Iterator[Place]:
        """Create topics and a group for one run; the topics are deleted at the end.

        Args:
            frames: the topic to read; None creates one.
        """
        name = f"run-{uuid.uuid4().hex[:12]}"
        topics = Topics.with_prefix(name)
        if frames:
            topics = topics.model_copy(update={"frames": frames})
        made = [each for each in topics.specs(partitions=PARTITIONS) if each.name != frames]
        for topic in made:
            self.create(topic.name, topic.config or STAMPED)
        place = Place(servers=self.servers, topics=topics, group=f"{name}-group", folder=self.folder)
        try:
            yield place
        finally:
            for deleted in self._admin.delete_topics([topic.name for topic in made]).values():
                deleted.result(30)

    def create(self, topic: str, config: Mapping[str, str] | None = None) -> None:
        """Create a topic."""
        KafkaAdmin(self.servers, {}).create([Topic(topic, PARTITIONS, config or {})])

    def send(self, records: Iterator[OutboundRecord]) -> None:
        """Write records, and return when they are confirmed."""
        sink = KafkaSink(self.servers, {"linger.ms": 20})
        try:
            while chunk := list(islice(records, 1000)):  # not all records in memory at the same time
                sink.publish(chunk, {})
        finally:
            sink.close()

    def read(self, topic: str) -> list[Record]:
        """Return all records of a topic."""
        reader = KafkaReader(self.servers, {})
        try:
            return list(reader.read_to_end([TopicPartition(topic, number) for number in range(PARTITIONS)]))
        finally:
            reader.close()

    def count(self, topic: str) -> int:
        """Return the number of records in a topic; retried, because a new topic may have no leaders yet."""
        return persistently(lambda: self._count(topic))

    def _count(self, topic: str) -> int:
        wanted = [Partition(topic, number) for number in range(PARTITIONS)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        found = self._admin.list_offsets(dict.fromkeys(wanted, latest))
        return sum(future.result(PATIENCE).offset for future in found.values())


def _frames(size: Size) -> str:
    return f"frames-{name_of(size)}"


def _times(contestant: Contestant) -> list[float]:
    """Return the time at which each frame of a bare loop was finished."""
    lines = [json.loads(line) for line in contestant.log.read_text().splitlines() if line.endswith("}")]
    return [line["at"] for line in lines if "at" in line for _ in range(line["frames"])]


def _running(contestant: Contestant) -> bool:
    assert contestant.alive, f"a contestant has ended:\n{contestant.log.read_text()[-3000:]}"
    return True
