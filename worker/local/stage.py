"""Topics for one run of the demo, and the workers of one group that read and write them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.adapters.kafka import KafkaAdmin, KafkaReader, Topic
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import Record, TopicPartition
from worker.domain.times import Monotonic
from worker.local.screen import Member, State
from worker.local.worker_process import READY_WITHIN, WorkerProcess
from worker.models.container import cores
from worker.settings import Topics

PARTITIONS: Final = 4
LARGEST_FRAME: Final = 2**20
"""Bytes; the frames of the demo's cameras are ten times smaller."""
IDLE_MS: Final = 1_500
"""Silence after which the last frames of the video get their values: no later frame comes that could complete them."""
_CHECK_EVERY: Final = 0.2
_TAKEOVER: Final[Mapping[str, Any]] = {
    # With the classic protocol, the member says after which silence it is out of the group; else brokers say it.
    "group_protocol": "classic",
    "consumer": {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500},
    # The successor waits for the transaction that a killed worker leaves open.
    "producer": {"transaction.timeout.ms": 6_000, "delivery.timeout.ms": 6_000},
}
"""Settings with which a killed worker's partitions are taken over as soon as any broker allows."""


@dataclass(slots=True)
class Stage:
    """Topics that nobody else uses, and their workers; the first one has number 1.

    Attributes:
        killed: the numbers of the workers that were killed.
    """

    servers: str
    topics: Topics
    workers: Sequence[WorkerProcess]
    killed: set[int] = field(default_factory=set)
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    @property
    def running(self) -> list[WorkerProcess]:
        """The workers that were not killed."""
        return [each for number, each in enumerate(self.workers, start=1) if number not in self.killed]

    @property
    def outputs(self) -> list[TopicPartition]:
        """All partitions that results are written to."""
        topics = (self.topics.predictions, self.topics.accuracy, self.topics.dead_letters)
        return [partition for topic in topics for partition in partitions_of(topic)]

    def wait_until_ready(self) -> Iterator[int]:
        """Wait until every worker is ready for frames, and has some of the partitions; yield the number of ready ones.

        Raises:
            WorkerError: one of them ended, or it took too long.
        """
        for ready, worker in enumerate(self.workers, start=1):
            worker.wait_until_ready()
            yield ready
        deadline = time.monotonic() + READY_WITHIN
        while not self._shared() and time.monotonic() < deadline:
            time.sleep(_CHECK_EVERY)

    def members(self) -> list[Member]:
        """Ask the group which worker has which partitions; return nothing if it does not answer."""
        (described,) = self._admin.describe_consumer_groups([self.topics.frames], request_timeout=5).values()
        try:
            members = described.result().members
        except KafkaException:
            return []
        owned = {each.client_id: each.assignment.topic_partitions for each in members if each.assignment}
        return [
            Member(
                name,
                State.KILLED if number in self.killed else State.RUNS,
                sorted(each.partition for each in owned.get(name, ())),
            )
            for number, name in enumerate(map(_name, range(1, len(self.workers) + 1)), start=1)
        ]

    def _shared(self) -> bool:
        parts = [each.partitions for each in self.members()]
        return bool(parts) and all(parts) and sum(map(len, parts)) == PARTITIONS

    def kill(self, number: int) -> None:
        """Kill a worker with SIGKILL."""
        self.killed.add(number)
        self.workers[number - 1].kill()

    def stop(self) -> None:
        """Stop the workers that run.

        Raises:
            WorkerError: one of them ended with an error.
        """
        for worker in self.running:
            if (status := worker.stop()) != 0:
                raise WorkerError(
                    f"a worker exited with {status}; its log ends:\n{worker.said()}\n"
                    "start the demo again, and report it if this happens again"
                )

    def read(self, topic: str) -> Iterator[Record]:
        """Yield all records of a topic."""
        with closing(KafkaReader(self.servers, {})) as reader:
            yield from reader.read_to_end(partitions_of(topic))

    def frames_sent(self) -> list[CapturedFrame]:
        """Read the sent frames back from Kafka, as a worker reads them."""
        sent = []
        for record in self.read(self.topics.frames):
            encoded = wire.parse_frame(record, arrived_at=wall_clock(), arrived=Monotonic(0.0))
            frame, kind = encoded.frame, encoded.content_type
            sent.append(CapturedFrame(frame.camera, encoded.data, frame.captured_at, kind, frame.frame_id, frame.label))
        return sent


def open_stage(
    stack: ExitStack, servers: str, prefix: str, folder: Path, model: Path, *, workers: int, of_all: int
) -> Stage:
    """Create topics for this run only, so that other users of the broker are not disturbed, and start the workers.

    Several workers share the partitions in exactly-once mode: one of them may be killed, and no result comes twice.

    Args:
        stack: kills the workers when it is closed, if they still run.
        servers: the address of the brokers.
        prefix: what the names of the topics begin with.
        folder: is created for the workers' settings and logs.
        model: the folder of the model that the workers run.
        workers: number of workers in the group.
        of_all: number of all workers on this machine, which share its cores.
    """
    topics = Topics.with_prefix(prefix)
    specs = topics.specs(partitions=PARTITIONS, largest_frame=LARGEST_FRAME)
    KafkaAdmin(servers, {}).create(Topic(*each) for each in specs)
    kafka = {"bootstrap_servers": servers, "group_id": topics.frames, **(_TAKEOVER if workers > 1 else {})}
    settings: dict[str, dict[str, Any]] = {
        "delivery": {"guarantee": "exactly_once" if workers > 1 else "at_least_once"},
        "topics": topics.in_use(),
        # A share of the cores for each worker: on a busy machine, threads that wait for each other are slower than one.
        # No profile, because the answers are compared with torchvision's, bit for bit.
        "model": {"path": str(model), "threads": max(1, cores() // of_all), "engine": "eager", "profile": "off"},
        "sampling": {"idle_ms": IDLE_MS},
    }
    started = []
    for number in range(1, workers + 1):
        own = folder / f"worker-{number}"
        own.mkdir(parents=True)
        named = {**kafka, "consumer": {**kafka.get("consumer", {}), "client.id": _name(number)}}
        worker = WorkerProcess({**settings, "kafka": named}, own)
        stack.callback(worker.kill)
        started.append(worker)
    return Stage(servers, topics, started)


def _name(number: int) -> str:
    """Return what the group calls a worker."""
    return f"worker-{number}"


def partitions_of(topic: str) -> list[TopicPartition]:
    """Return all partitions of one of a stage's topics."""
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
