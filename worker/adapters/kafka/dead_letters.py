"""A topic of dead letters: read, and put back to where they came from, each once.

One transaction writes a frame to its source topic and a mark to a compacted topic beside the dead letters: both or
neither, wherever a replay is interrupted. A replay begins by taking over the transactional id of its dead-letter topic,
which aborts what a killed one left open and stops one that still runs. Only then it reads the marks, so they name
exactly what was sent. Every frame has a transaction of its own, a short one, because workers wait behind an open one.

Looked at and left: reading the source topic back for the header `dead-letter-replayed-from`, since it keeps pictures
for minutes and dead letters are kept for weeks; offsets of a consumer group, since filters leave gaps and a group's
offsets expire; marks among the dead letters, since their readers expect frames there.
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
    """The dead letters of one topic, the marks of those that were put back, and the way back.

    Args:
        options: librdkafka options of every client, under their own names.
        producer: those of the producer.
        marks: their topic, compacted; it is created if it does not exist and frames will be put back.
        writes: frames will be put back; ends another replay of this topic that still runs.

    Raises:
        WorkerError: the topic does not exist, or that of the marks cannot be created.
        DeliveryFailed: the other replay cannot be ended.
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
            self._admin.create([marks], replication_factor=-1)
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
        """Yield all that lies in the topic."""
        return self._reader.read_to_end(self._partitions(self.topic))

    def at(self, positions: Iterable[Position]) -> Iterator[Record]:
        """Yield the records at these positions, in their order; those that are not there are left out."""
        there = self._partitions(self.topic)
        return self._reader.at(each for each in positions if each.partition in there)

    def marks(self) -> Mapping[bytes | None, bytes | None]:
        """Read the last mark of each key; `wire.render_mark` makes them."""
        return {record.key: record.value for record in self._reader.read_to_end(self._partitions(self._marks))}

    def missing(self, targets: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions that do not exist."""
        found = self._admin.topics({each.topic for each in targets})
        return [each for each in targets if each.topic not in found or each.partition >= found[each.topic].partitions]

    def put_back(self, letter: Record) -> None:
        """Write the frame of a dead letter to where it came from, and the mark that says so.

        Raises:
            DeliveryFailed: it is not done, or not known to be: the next replay finds out.
        """
        if self._writer is None:
            raise ValueError("these dead letters were not opened for writing")
        self._writer.publish([wire.render_replay(letter), wire.render_mark(self._marks, letter)])

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._admin.topics([topic])
        return [TopicPartition(topic, number) for number in range(found[topic].partitions if found else 0)]
