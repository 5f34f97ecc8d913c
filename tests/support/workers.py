"""Real workers in processes of their own on a real Kafka: what goes in, what comes out, and how to wait for it."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import yaml
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client.parser import text_string_to_metric_families

from worker import wire
from worker.adapters.kafka import KafkaAdmin, KafkaReader, KafkaSink, Topic
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.local.guarded import GuardedProcess
from worker.models.ready import ready_model
from worker.settings import Topics

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds after which a condition that was waited for counts as never coming; nothing is measured by it."""


def wait_until(holds: Callable[[], bool], what: str, *, every: float = 0.02) -> None:
    """Look again and again, every so many seconds, until something holds.

    Raises:
        AssertionError: it never did.
    """
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} seconds"
        time.sleep(every)


def model_folder() -> Path:
    """Return MobileNetV2 with its real weights."""
    return ready_model("mobilenet_v2")


def persistently(ask: Callable[[], T]) -> T:
    """Ask until the brokers answer: one of them may be away."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass(frozen=True)
class Stage:
    """One set of topics and one consumer group, which no other test knows.

    Attributes:
        partitions: of the frames, and so of predictions and accuracy.
    """

    servers: str
    name: str
    partitions: int
    admin: AdminClient

    @cached_property
    def topics(self) -> Topics:
        return Topics.with_prefix(self.name)

    @property
    def frames(self) -> str:
        return self.topics.frames

    @property
    def predictions(self) -> str:
        return self.topics.predictions

    @property
    def accuracy(self) -> str:
        return self.topics.accuracy

    @property
    def dead_letters(self) -> str:
        return self.topics.dead_letters

    @property
    def group(self) -> str:
        return f"{self.name}-workers"

    def settings(self, **groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the settings of one worker; what is given goes over them, group by group."""
        settings: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.servers, "group_id": self.group},
            "topics": self.topics.model_dump(),
            # Eight frames a call: the first one, before anything is ready, is as large.
            "window": {"max_frames": 8},
            "model": {"path": str(model_folder()), "threads": 1, "profile": "off"},
            "ops": {"port": 0, "log_format": "json"},
        }
        return settings | {name: settings.get(name, {}) | dict(group) for name, group in groups.items()}

    def send(self, records: Iterable[OutboundRecord]) -> None:
        """Write records, and return once they are confirmed."""
        sink = KafkaSink(self.servers, {})
        try:
            sink.publish(list(records), {})
        finally:
            sink.close()

    def read(self, topic: str) -> list[Record]:
        """Return all that lies in a topic, in offset order within each partition."""
        found = KafkaAdmin(self.servers, {}).topics([topic])[topic]
        reader = KafkaReader(self.servers, {"fetch.wait.max.ms": 10})
        try:
            return list(reader.read_to_end([TopicPartition(topic, number) for number in range(found.partitions)]))
        finally:
            reader.close()

    def read_predictions(self) -> list[wire.PredictionMessage]:
        """Return all predictions, in the order in which each partition has them."""
        return [wire.decode_prediction(record.value or b"") for record in self.read(self.predictions)]

    def ends(self) -> dict[int, int]:
        """Return where each partition of the frames ends."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = [Partition(self.frames, number) for number in range(self.partitions)]
        found = self.admin.list_offsets(dict.fromkeys(wanted, latest))
        return {each.partition: future.result().offset for each, future in found.items()}

    def committed(self) -> dict[int, int]:
        """Return the group's next offset of each partition; 0 where it has committed nothing."""
        wanted = [Partition(self.frames, number) for number in range(self.partitions)]
        found = persistently(lambda: self._onlooker.committed(wanted, timeout=10))
        return {each.partition: max(0, each.offset) for each in found}

    def checkpoint(self, partition: int) -> Checkpoint:
        """Return what the group has committed of a partition, the mark included."""
        (found,) = persistently(lambda: self._onlooker.committed([Partition(self.frames, partition)], timeout=10))
        return Checkpoint.read(max(0, found.offset), found.metadata)

    @cached_property
    def _onlooker(self) -> Consumer:
        """Knows the group and never joins it.

        An admin client that asks for a group's offsets crashes librdkafka 2.16 when the coordinator answers that it is
        not, or not yet, the group's.
        """
        options = {"socket.timeout.ms": 10_000, "log_level": 0, "enable.auto.commit": False}
        return Consumer({"bootstrap.servers": self.servers, "group.id": self.group, **options})

    def wait_until_done(self) -> None:
        """Wait until the group has committed all there is: each frame is predicted, or a dead letter."""
        ends = self.ends()
        wait_until(lambda: self.committed() == ends, f"the group commits {ends}")


@contextmanager
def stage(servers: str, *, partitions: int) -> Iterator[Stage]:
    """Create the topics of a worker as its README says; they go at the end."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    made = Stage(servers, f"test-{uuid.uuid4().hex[:12]}", partitions, admin)
    specs = made.topics.specs(partitions=partitions)
    KafkaAdmin(servers, {}).create(Topic(*each) for each in specs)
    yield made
    for deleted in admin.delete_topics([each.name for each in specs]).values():
        deleted.result(30)


class WorkerProcess:
    """A `vision-worker run` of its own; leaving the `with` kills it if it still runs.

    Args:
        settings: become its settings file.
        folder: where settings and log lie, each under a name of its own.
        environment: variables on top of our own.
    """

    def __init__(self, settings: Mapping[str, Any], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        name = uuid.uuid4().hex[:8]
        self.log = folder / f"{name}.log"
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(dict(settings)))
        self._url: str | None = None
        command = [sys.executable, "-m", "worker", "run", "--config", str(config)]
        self._process = GuardedProcess([command], log=self.log, environment=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    def stop(self) -> int:
        """Send SIGTERM, wait for its end, and return its exit status."""
        return self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL, and wait for its end."""
        self._process.kill()

    def said(self) -> list[dict[str, Any]]:
        """Return its log so far, line by line; a line that it has not finished is left out."""
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_until_ready(self) -> None:
        """Wait until /readyz says yes."""
        wait_until(self._is_ready, f"the worker is ready ({self.log.name})")

    def metrics(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a metric by the values of their labels, in the order of the labels' names."""
        families = text_string_to_metric_families(self._get("/metrics")[1])
        samples = (sample for family in families for sample in family.samples)
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for sample in samples
            if sample.name in {name, f"vision_worker_{name}"}
        }

    def partitions(self) -> set[int]:
        """Return the partitions it has read from and still holds."""
        return {int(partition) for partition, _ in self.metrics("lag_records")}

    def _is_ready(self) -> bool:
        assert self.alive, f"the worker ended:\n{self.log.read_text()}"
        return self._find_url() is not None and self._get("/readyz")[0] == 200

    def _find_url(self) -> str | None:
        if self._url is None:
            self._url = next((line["url"] for line in self.said() if "url" in line), None)
        return self._url

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"{self._find_url()}{path}", timeout=30) as answer:  # noqa: S310 http, to our own process
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
