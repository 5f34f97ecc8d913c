"""Test a delivery guarantee: with its own topics, a flow of frames, and a worker that is replaced when it stops."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from tests.chaos.load import Load
from tests.support.cameras import expected_counts, last_tallies, places, published_counts, times_predicted
from tests.support.workers import Stage, WorkerProcess, persistently, wait_until
from worker import wire
from worker.adapters.kafka import KafkaAdmin, Topic
from worker.domain.records import OutboundRecord

PARTITIONS: Final = 2
FRAMES_A_SECOND: Final = 5.0
BROKER, ABSENT_BROKER = 1, 2
"""Node ids of the only broker, and of a broker that is registered but absent, so that its replicas are out of sync."""
DAMAGED: Final = b"no picture" * 150_000
"""A value that is larger than a topic accepts by default."""
ROOM, NO_ROOM = "4000000", "100"
"""Values of a topic's max.message.bytes: large enough, and too small."""

KAFKA: Final[dict[str, dict[str, dict[str, int]]]] = {
    # Ten seconds for a publication and three for a record: so a test takes seconds instead of minutes.
    "exactly_once": {"consumer": {"max.poll.interval.ms": 20_000}, "producer": {"delivery.timeout.ms": 3_000}},
    "at_least_once": {},
}
"""The delivery guarantees, each with the Kafka settings of its worker."""


class Trial:
    """One delivery guarantee, on its own topics.

    Attributes:
        stage: its topics; the predictions topic has two replicas, one of them in sync.
        gone: predictions that were deleted with their topic.
        doubtful: frames that were uncommitted at a fault: with at least once, they may have more than one outcome.
    """

    def __init__(self, guarantee: str, servers: str, folder: Path, undo: ExitStack) -> None:
        self.guarantee = guarantee
        self.stage = Stage(servers, f"faults-{uuid.uuid4().hex[:12]}", PARTITIONS, admin_client(servers))
        self.gone: list[wire.PredictionMessage] = []
        self.doubtful: set[tuple[int, int]] = set()
        self._folder = folder
        self._undo = undo
        topics = {each.name: Topic(*each) for each in self.stage.topics.specs(partitions=PARTITIONS)}
        del topics[self.stage.predictions]
        topics[self.stage.frames] = Topic(self.stage.frames, PARTITIONS, {"max.message.bytes": ROOM})
        KafkaAdmin(servers, {}).create(topics.values())
        self.create_predictions()
        self.start()

    def start(self) -> None:
        kafka = self.stage.settings()["kafka"] | KAFKA[self.guarantee]
        settings = self.stage.settings(kafka=kafka, delivery={"guarantee": self.guarantee})
        self.worker = self._undo.enter_context(WorkerProcess(settings, self._folder))
        self._lines_read = 0

    def last_words(self) -> tuple[int, dict[str, Any]]:
        """Wait until the worker stops; return its exit status and the last line of its log."""
        wait_until(lambda: not self.worker.alive, f"{self.guarantee}: the worker stops")
        log = self.worker.log.read_text()
        assert "Traceback" not in log
        return self.worker.stop(), json.loads(log.splitlines()[-1])

    def settle(self) -> list[tuple[int, dict[str, Any]]]:
        """Wait until every frame has an outcome; replace a worker that has stopped, as a supervisor would.

        Returns:
            Exit status and last log line of each worker that was replaced.
        """
        ends, ended = persistently(self.stage.ends), list[tuple[int, dict[str, Any]]]()

        def settled() -> bool:
            if not self.worker.alive:
                ended.append(self.last_words())
                self.start()
            return persistently(self.stage.committed) == ends

        wait_until(settled, f"{self.guarantee}: the group commits {ends}")
        return ended

    def listen(self) -> None:
        """Mark all log lines so far as read."""
        self._lines_read = len(self.worker.said())

    def wait_until_warned(self, about: str) -> None:
        """Wait for an unread warning or error that contains this text."""

        def warned() -> bool:
            lines = self.worker.said()[self._lines_read :]
            return any(line["level"] in {"warning", "error"} and about in str(line) for line in lines)

        wait_until(warned, f"{self.guarantee}: the worker says something of {about}")

    # ----- changes to its topics

    def create_predictions(self) -> None:
        replicas = [[BROKER, ABSENT_BROKER]] * PARTITIONS
        topic = NewTopic(self.stage.predictions, PARTITIONS, replica_assignment=replicas)
        self.stage.admin.create_topics([topic])[topic.topic].result(30)

    def delete_predictions(self) -> None:
        self.gone += self.stage.read_predictions()
        self.stage.admin.delete_topics([self.stage.predictions])[self.stage.predictions].result(30)

    def configure(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self.stage.admin.incremental_alter_configs([wanted])[wanted].result(30)

    def send_damaged(self) -> None:
        self.stage.send([OutboundRecord(self.stage.frames, 0, b"chelsea", DAMAGED)])

    # ----- checks of the results

    def check_offsets(self) -> None:
        """Check that no offset is committed past a frame without an outcome."""
        committed, outcomes = self.stage.committed(), self._outcomes(self._predictions())
        passed = {(p, offset) for p, next_offset in committed.items() for offset in range(next_offset)}
        assert passed <= outcomes.keys(), self.guarantee

    def check(self) -> None:
        """Check that every frame has at least one or exactly one outcome, and that accuracy counts each frame once."""
        frames, predictions = self.stage.read(self.stage.frames), self._predictions()
        outcomes = self._outcomes(predictions)
        assert outcomes.keys() == places(frames), self.guarantee
        several = {place for place, count in outcomes.items() if count > 1}
        assert several <= (self.doubtful if self.guarantee == "at_least_once" else set()), self.guarantee

        by_hand = expected_counts((frame for frame in frames if frame.value != DAMAGED), predictions)
        published = published_counts(last_tallies(self.stage.read(self.stage.accuracy)).values())
        assert published == by_hand, self.guarantee

    def _predictions(self) -> list[wire.PredictionMessage]:
        return self.gone + self.stage.read_predictions()

    def _outcomes(self, predictions: Sequence[wire.PredictionMessage]) -> Counter[tuple[int, int]]:
        """Count the outcomes of each frame, by partition and offset."""
        reports = [wire.parse_dead_letter(letter) for letter in self.stage.read(self.stage.dead_letters)]
        return times_predicted(predictions) + Counter((report.partition, report.offset) for report in reports)


@contextmanager
def flow(trials: Sequence[Trial]) -> Iterator[None]:
    """Send frames continuously; frames uncommitted before and frames sent meanwhile are doubtful afterwards."""
    committed = [trial.stage.committed() for trial in trials]
    for trial in trials:
        trial.listen()
    loads = [Load(trial.stage, FRAMES_A_SECOND) for trial in trials]
    try:
        yield
        for load in loads:
            load.stop()
    finally:
        for load in loads:
            load.close()
        for trial, before in zip(trials, committed, strict=True):
            # A client that was connected during an outage may never answer again.
            trial.stage = replace(trial.stage, admin=admin_client(trial.stage.servers))
            ends = persistently(trial.stage.ends)
            trial.doubtful |= {(p, offset) for p, end in ends.items() for offset in range(before[p], end)}


def admin_client(servers: str) -> AdminClient:
    """Return a client that does not log unreachable brokers."""
    return AdminClient({"bootstrap.servers": servers, "log_level": 0})
