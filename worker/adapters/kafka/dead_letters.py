"""Read a topic of dead letters, and replay each letter once to the partition that it came from.

One transaction writes a frame to its source topic and a mark to a separate compacted topic: both or neither, wherever a
replay is interrupted. A replay first takes over the transactional id of its dead-letter topic: this aborts a
transaction that a killed replay left open, and fences a replay that still runs. Only then it reads the marks, so the
marks name exactly what was sent. Every frame has its own, short transaction, because workers wait behind an open one.

Rejected alternatives: search the source topic for the header `dead-letter-replayed-from` (it keeps pictures for
minutes, but dead letters are kept for weeks); use offsets of a consumer group (filters leave gaps, and a group's
offsets expire); write marks to the dead-letter topic (its readers expect frames there).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from worker import wire
from worker.adapters.kafka.admin import KafkaAdmin, Topic
from worker.adapters.kafka.messages import Options
from worker.adapters.kafka.reader import KafkaReader
from worker.adapters.kafka.transactions import KafkaTransactions
from worker.domain.errors import WorkerError
from worker.domain.records import Position, Record, TopicPartition


class KafkaDeadLetters:
    """Reads the dead letters of one topic and the marks of replayed ones, and replays dead letters.

    Args:
        options: librdkafka options of every client, under their own names.
        producer: librdkafka options of the producer.
        marks: the compacted topic of marks; it is created if it does not exist and `writes` is true.
        writes: dead letters will be replayed; stops another replay of this topic that still runs.

    Raises:
        WorkerError: the topic does not exist, or the topic of marks cannot be created.
        DeliveryFailed: the other replay cannot be stopped.
    """

    def __init__(
        self, bootstrap_servers: str, options: Options, producer: Options, *, topic: str, marks: Topic, writes: bool
    ) -> None:
        self.topic = topic
        self._marks = marks.name
        self._admin = KafkaAdmin(bootstrap_servers, options)
        if topic not in self._admin.topics([topic]):
            raise WorkerError(
                f"topic {topic!r} does not exist at {bootstrap_servers}; the setting topics.dead_letters names it"
            )
        self._writer = None
        if writes:
            if marks.name not in self._admin.topics([marks.name]):  # else no right to create it is needed
                self._admin.create([marks])
            self._writer = KafkaTransactions(bootstrap_servers, {**options, **producer}, name=f"{self._marks}-by")
        self._reader = KafkaReader(bootstrap_servers, {**options, "isolation.level": "read_committed"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def read(self) -> Iterator[Record]:
        """Yield all records of the topic."""
        return self._reader.read_to_end(self._partitions(self.topic))

    def at(self, positions: Iterable[Position]) -> Iterator[Record]:
        """Yield the records at these positions, in order of position; missing records are skipped."""
        existing = self._partitions(self.topic)
        return self._reader.at(each for each in positions if each.partition in existing)

    def marks(self) -> Mapping[bytes | None, bytes | None]:
        """Return the last mark of each key (`wire.render_mark` makes marks)."""
        return {record.key: record.value for record in self._reader.read_to_end(self._partitions(self._marks))}

    def missing(self, targets: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions that do not exist."""
        found = self._admin.topics({each.topic for each in targets})
        return [each for each in targets if each.topic not in found or each.partition >= found[each.topic].partitions]

    def put_back(self, letter: Record) -> None:
        """Write the frame of a dead letter back to its partition, with the mark that records it.

        Raises:
            DeliveryFailed: it was not written, or the outcome is unknown; the next replay finds out which.
        """
        if self._writer is None:
            raise ValueError("these dead letters were not opened for writing")
        self._writer.publish([wire.render_replay(letter), wire.render_mark(self._marks, letter)])

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._admin.topics([topic])
        return [TopicPartition(topic, number) for number in range(found[topic].partitions if found else 0)]
