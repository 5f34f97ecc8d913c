"""Real workers in their own processes on a real Kafka: send frames, read results, and wait for conditions."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import yaml
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client.parser import text_string_to_metric_families

from tests.support.warm import WarmProcess
from worker import wire
from worker.adapters.kafka import KafkaAdmin, KafkaReader, KafkaSink, Topic
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.local.guarded import GuardedProcess
from worker.models.ready import ready_model
from worker.settings import Topics

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds after which waiting for a condition fails; nothing is measured by it."""


def wait_until(holds: Callable[[], bool], what: str, *, every: float = 0.02) -> None:
    """Check a condition repeatedly until it holds.

    Args:
        holds: the condition.
        what: describes the condition in the error.
        every: seconds between two checks.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} seconds"
        time.sleep(every)


def model_folder() -> Path:
    """Return MobileNetV2 with its real weights."""
    return ready_model("mobilenet_v2")


def persistently(ask: Callable[[], T]) -> T:
    """Repeat a request until the brokers answer: one of them may be down."""
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
    """One set of topics and one consumer group, which no other test uses.

    Attributes:
        partitions: number of partitions of frames, predictions and accuracy.
        notes_skipped: whether frames that are left out are written to a topic.
        keeps_states: whether there is a topic of hidden states.
    """

    servers: str
    name: str
    partitions: int
    admin: AdminClient
    notes_skipped: bool = False
    keeps_states: bool = False

    @cached_property
    def topics(self) -> Topics:
        optional = {"skipped": self.skipped} if self.notes_skipped else {}
        if self.keeps_states:
            optional["state"] = self.state
        return Topics.with_prefix(self.name).model_copy(update=optional)

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
    def skipped(self) -> str:
        return f"{self.name}-skipped"

    @property
    def state(self) -> str:
        return f"{self.name}-state"

    @property
    def group(self) -> str:
        return f"{self.name}-workers"

    def settings(self, **groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the settings of one worker; the given groups override them."""
        settings: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.servers, "group_id": self.group},
            "topics": self.topics.in_use(),
            # Eight frames per call: the warm-up call has the same size.
            "window": {"max_frames": 8},
            "model": {"path": str(model_folder()), "engine": "eager", "threads": 1, "profile": "off"},
            "ops": {"port": 0, "log_format": "json"},
        }
        return settings | {name: settings.get(name, {}) | dict(group) for name, group in groups.items()}

    def send(self, records: Iterable[OutboundRecord]) -> None:
        """Write records, and return when they are confirmed."""
        sink = KafkaSink(self.servers, {})
        try:
            sink.publish(list(records), {})
        finally:
            sink.close()

    def read(self, topic: str) -> list[Record]:
        """Return all records of a topic, in offset order within each partition."""
        found = KafkaAdmin(self.servers, {}).topics([topic])[topic]
        reader = KafkaReader(self.servers, {"fetch.wait.max.ms": 10})
        try:
            return list(reader.read_to_end([TopicPartition(topic, number) for number in range(found.partitions)]))
        finally:
            reader.close()

    def read_predictions(self) -> list[wire.PredictionMessage]:
        """Return all predictions, in offset order within each partition."""
        return [wire.decode_prediction(record.value or b"") for record in self.read(self.predictions)]

    def read_clips(self) -> list[wire.ClipMessage]:
        """Return all predictions of a model of clips, in offset order within each partition."""
        messages = [wire.decode_message(record.value or b"") for record in self.read(self.predictions)]
        return [each for each in messages if isinstance(each, wire.ClipMessage)]

    def ends(self) -> dict[int, int]:
        """Return the end offset of each partition of the frames."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = [Partition(self.frames, number) for number in range(self.partitions)]
        found = self.admin.list_offsets(dict.fromkeys(wanted, latest))
        return {each.partition: future.result().offset for each, future in found.items()}

    def committed(self) -> dict[int, int]:
        """Return the group's next offset of each partition; 0 if it has committed nothing."""
        wanted = [Partition(self.frames, number) for number in range(self.partitions)]
        found = persistently(lambda: self._observer.committed(wanted, timeout=10))
        return {each.partition: max(0, each.offset) for each in found}

    def checkpoint(self, partition: int) -> Checkpoint:
        """Return what the group has committed of a partition, the mark included, without the topic's id."""
        (found,) = persistently(lambda: self._observer.committed([Partition(self.frames, partition)], timeout=10))
        return replace(Checkpoint.read(max(0, found.offset), found.metadata), topic_id=None)

    @cached_property
    def _observer(self) -> Consumer:
        """A consumer that reads the group's offsets and never joins the group.

        An admin client that requests a group's offsets crashes librdkafka 2.16 when the broker answers that it is not,
        or not yet, the group's coordinator.
        """
        options = {"socket.timeout.ms": 10_000, "log_level": 0, "enable.auto.commit": False}
        return Consumer({"bootstrap.servers": self.servers, "group.id": self.group, **options})

    def wait_until_done(self) -> None:
        """Wait until the group has committed all frames: each is predicted or a dead letter."""
        ends = self.ends()
        wait_until(lambda: self.committed() == ends, f"the group commits {ends}")


@contextmanager
def stage(servers: str, *, partitions: int, notes_skipped: bool = False, keeps_states: bool = False) -> Iterator[Stage]:
    """Create a worker's topics as docs/topics.md says; delete them at the end."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    made = Stage(servers, f"test-{uuid.uuid4().hex[:12]}", partitions, admin, notes_skipped, keeps_states)
    specs = made.topics.specs(partitions=partitions)
    KafkaAdmin(servers, {}).create(Topic(*each) for each in specs)
    yield made
    for deleted in admin.delete_topics([each.name for each in specs]).values():
        deleted.result(30)


class Process(Protocol):
    """A process that ends with the program that started it."""

    @property
    def alive(self) -> bool: ...

    def stop(self) -> int: ...

    def kill(self) -> int: ...


class WorkerProcess:
    """A `vision-worker run` process; leaving the `with` block kills it if it still runs.

    Args:
        settings: content of its settings file.
        folder: folder of its settings file and its log, each with a unique name.
        environment: additional environment variables.
    """

    def __init__(self, settings: Mapping[str, Any], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        name = uuid.uuid4().hex[:8]
        self.log = folder / f"{name}.log"
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(dict(settings)))
        self._url: str | None = None
        self._process = self._begin(["run", "--config", str(config)], environment)

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
        """Send SIGTERM, wait until it ends, and return its exit status."""
        return self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL, and wait until it ends."""
        self._process.kill()

    def said(self) -> list[dict[str, Any]]:
        """Return its log lines so far, without an unfinished last line."""
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_until_ready(self) -> None:
        """Wait until /readyz answers 200."""
        wait_until(self._is_ready, f"the worker is ready ({self.log.name})")

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of one of its pages."""
        try:
            with urlopen(f"{self._find_url()}{path}", timeout=30) as answer:  # noqa: S310 http, to the test's own process
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metrics(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a metric's samples by their label values, which are sorted by label name."""
        families = text_string_to_metric_families(self.page("/metrics")[1])
        samples = (sample for family in families for sample in family.samples)
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for sample in samples
            if sample.name in {name, f"vision_worker_{name}"}
        }

    def partitions(self) -> set[int]:
        """Return the partitions that it has read from and still owns."""
        return {int(partition) for partition, _ in self.metrics("lag_records")}

    def _begin(self, words: Sequence[str], environment: Mapping[str, str] | None) -> Process:
        return GuardedProcess([[sys.executable, "-m", "worker", *words]], log=self.log, environment=environment)

    def _is_ready(self) -> bool:
        assert self.alive, f"the worker ended:\n{self.log.read_text()}"
        return self._find_url() is not None and self.page("/readyz")[0] == 200

    def _find_url(self) -> str | None:
        if self._url is None:
            self._url = next((line["url"] for line in self.said() if "url" in line), None)
        return self._url


class WarmWorker(WorkerProcess):
    """A `WorkerProcess` that starts with the large libraries imported."""

    def _begin(self, words: Sequence[str], environment: Mapping[str, str] | None) -> Process:
        return WarmProcess(words, log=self.log, environment=environment)
