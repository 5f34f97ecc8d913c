"""Read whole partitions without a consumer group: once to the end, or continuously."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.adapters.kafka.advice import on_reading
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options, make_client, record_of
from worker.adapters.kafka.patience import SLICE, never, persist, raise_if, result_of
from worker.domain.errors import SourceLost
from worker.domain.records import Position, Record, Stopping, TopicPartition
from worker.domain.times import EventMillis

STALLED_AFTER = 60.0
"""Seconds without a record or an end of partition after which reading fails."""

DISORDER_MS = 3_600_000
"""Milliseconds by which the timestamps of a partition may be out of order for `written_between` to find all records."""

BATCH_WITHIN = 0.05
"""Seconds to wait for a batch of 1,000 records; this bounds the wait at the end of a partition."""


LEADERS_WITHIN = 1.0
"""Seconds to wait for the leaders of a topic's partitions before it is read."""

ANSWER_WITHIN = 5.0
"""Seconds within which a broker must tell why a partition cannot be read."""

_TRANSIENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        # librdkafka asks for the coordinator of every consumer's group; a reader does not need its answer.
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)
"""Errors from a poll that end by waiting, or that do not matter."""


class KafkaReader:
    """Reads partitions from their beginning or end. It commits nothing and joins no group.

    Args:
        options: librdkafka options under their own names.
        group_id: a group of which this user may read the offsets. librdkafka asks for the group of every consumer, but
            nothing depends on the answer.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, group_id: str = "none") -> None:
        self._connection = Connection(bootstrap_servers, options)
        self._admin = make_client(
            AdminClient, options, {"allow.auto.create.topics": False, **self._connection.callbacks()}
        )
        self._consumer = make_client(
            Consumer,
            {"fetch.wait.max.ms": 10},
            options,
            {
                "group.id": group_id,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                **self._connection.callbacks(),
            },
        )

    def read_to_end(
        self,
        partitions: Collection[TopicPartition],
        *,
        begins: Mapping[TopicPartition, int] | None = None,
        stopping: Stopping = never,
    ) -> Iterator[Record]:
        """Yield every committed record that was in the partitions when this was called.

        This reads up to the high watermark, and so waits for open transactions: a caller that has seen committed
        offsets must also see the records that were committed with them, and brokers end a transaction in one partition
        after the other.

        Args:
            partitions: the partitions to read.
            begins: the first offset to read, for some of the partitions; others are read from their beginning.
            stopping: whether to give up.

        Raises:
            SourceLost: a partition is missing or cannot be read, or nothing was received for a minute.
            Stopped: the worker was told to stop meanwhile.
        """
        self._assign(dict.fromkeys(partitions, OFFSET_BEGINNING) | dict(begins or {}), stopping)
        open_ends = self._high_watermarks(partitions, stopping)
        last_received = time.monotonic()
        while open_ends:
            raise_if(stopping)
            messages = self._consumer.consume(1000, timeout=BATCH_WITHIN)
            if messages:
                last_received = time.monotonic()
            elif time.monotonic() - last_received > STALLED_AFTER:
                raise self._stalled(open_ends)
            for message in messages:
                error = message.error()
                if error is None:
                    yield record_of(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended = TopicPartition(message.topic() or "", message.partition() or 0)
                    if (message.offset() or 0) >= open_ends.get(ended, 0):
                        open_ends.pop(ended, None)
                else:
                    _raise_unless_transient(message, error)

    def follow(
        self, partitions: Collection[TopicPartition], *, from_beginning: bool, timeout: float = 0.2
    ) -> Iterator[Record | None]:
        """Yield records as they arrive, and None whenever none arrived for `timeout` seconds.

        Raises:
            SourceLost: a partition cannot be read.
        """
        self._assign(dict.fromkeys(partitions, OFFSET_BEGINNING if from_beginning else OFFSET_END))
        while True:
            message = self._consumer.poll(timeout)
            if message is None:
                yield None
            elif (error := message.error()) is None:
                yield record_of(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                _raise_unless_transient(message, error)

    def held(self, partitions: Collection[TopicPartition]) -> int:
        """Return how many records the partitions hold at most: compaction and transactions leave gaps between them.

        Raises:
            SourceLost: a broker does not tell.
        """
        begins = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        return sum(self._high_watermarks(partitions).values()) - sum(begins.values())

    def written_between(
        self, partitions: Iterable[TopicPartition], since: EventMillis, until: EventMillis
    ) -> Iterator[Record]:
        """Yield every committed record with a timestamp from `since` on and before `until`, partition by partition.

        Timestamps need not rise with the offset. A record is found if no record that was written more than
        `DISORDER_MS` after `until` lies before it. Records that are written after this was called are left out.

        Raises:
            SourceLost: a partition is missing or cannot be read, or nothing was received for a minute.
        """
        for each in partitions:
            self._check_topic(each.topic, [each.partition])
            first, beyond = self._offset_at(each, since), self._offset_at(each, until + DISORDER_MS)
            end = self._high_watermarks([each])[each]
            if first < 0:
                continue
            self._consumer.assign([Partition(each.topic, each.partition, first)])
            end = min(end, beyond) if beyond >= 0 else end
            while (record := self._next_record()) is not None and record.position.offset < end:
                if since <= record.timestamp < until:
                    yield record

    def at(self, positions: Iterable[Position]) -> Iterator[Record]:
        """Yield the records at these positions, in order of position; missing or deleted records are skipped.

        Raises:
            SourceLost: a partition cannot be read, or nothing was received for a minute.
        """
        next_position = None
        for wanted in sorted(positions):
            if wanted != next_position:
                topic, partition = wanted.partition.topic, wanted.partition.partition
                self._consumer.assign([Partition(topic, partition, wanted.offset)])
            record = self._next_record()
            next_position = Position(record.position.partition, record.position.next_offset) if record else None
            if record is not None and record.position == wanted:
                yield record

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _next_record(self) -> Record | None:
        """Return the next record, or None at the end of the partition."""
        last_received = time.monotonic()
        while time.monotonic() - last_received < STALLED_AFTER:
            message = self._consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return record_of(message)
            if error.code() == KafkaError._PARTITION_EOF:
                return None
            _raise_unless_transient(message, error)
        raise self._stalled([TopicPartition(each.topic, each.partition) for each in self._consumer.assignment()])

    def _offset_at(self, partition: TopicPartition, at: int) -> int:
        """Return the first offset whose record was written at this time or later; -1 if there is none."""
        asked = Partition(partition.topic, partition.partition, at)
        try:
            (found,) = self._consumer.offsets_for_times([asked], timeout=STALLED_AFTER)
        except KafkaException as error:
            raise self._unreadable("times", [partition], error.args[0]) from error
        return int(found.offset)

    def _assign(self, begins: Mapping[TopicPartition, int], stopping: Stopping = never) -> None:
        for topic in {each.topic for each in begins}:
            self._check_topic(topic, [each.partition for each in begins if each.topic == topic], stopping)
            self._learn_leaders(topic)
        self._consumer.assign([Partition(each.topic, each.partition, offset) for each, offset in begins.items()])

    def _high_watermarks(
        self, partitions: Collection[TopicPartition], stopping: Stopping = never
    ) -> dict[TopicPartition, int]:
        return self._offsets(partitions, OffsetSpec.latest(), stopping)  # type: ignore[no-untyped-call]

    def _offsets(
        self, partitions: Collection[TopicPartition], spec: OffsetSpec, stopping: Stopping = never
    ) -> dict[TopicPartition, int]:
        def ask(limit: float) -> dict[TopicPartition, int]:
            answers = self._admin.list_offsets(
                {Partition(each.topic, each.partition): spec for each in partitions},
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=limit,
            )
            return {TopicPartition(p.topic, p.partition): result_of(each, limit).offset for p, each in answers.items()}

        try:
            return persist(ask, within=STALLED_AFTER, stopping=stopping)
        except KafkaException as error:
            raise self._unreadable("ends", partitions, error.args[0]) from error

    def _check_topic(self, topic: str, numbers: list[int], stopping: Stopping = never) -> None:
        found = self._connection.until_answered(
            lambda limit: self._admin.list_topics(topic, timeout=min(limit, SLICE)),
            self._admin.poll,
            STALLED_AFTER,
            lambda _: raise_if(stopping),
        ).topics[topic]
        if found.error is not None and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise SourceLost(f"topic {topic!r} cannot be read: {found.error.str()}; {on_reading(found.error, topic)}")
        if missing := set(numbers) - set(found.partitions):
            raise SourceLost(
                f"topic {topic!r} has no partition {min(missing)}; it has {len(found.partitions)}: create it or add "
                "partitions"
            )

    def _learn_leaders(self, topic: str) -> None:
        """Let the consumer ask for the leaders: one that knows none waits half a second before it begins to read."""
        self._consumer.poll(0)  # it may have to log in; a record of the last assignment does not matter any more
        with suppress(KafkaException):  # reading says what is wrong
            self._consumer.list_topics(topic, timeout=LEADERS_WITHIN)

    def _stalled(self, partitions: Collection[TopicPartition]) -> SourceLost:
        names = ", ".join(sorted(map(str, partitions)))
        return SourceLost(f"no answer for {STALLED_AFTER:.0f} s while reading {names}: {self._cause(partitions)}")

    def _unreadable(self, what: str, partitions: Collection[TopicPartition], error: KafkaError) -> SourceLost:
        names = ", ".join(sorted(map(str, partitions)))
        return SourceLost(f"the {what} of {names} cannot be read: {error.str()}; {self._cause(partitions)}")

    def _cause(self, partitions: Collection[TopicPartition]) -> str:
        """Say why partitions cannot be read: some have no leader, or the brokers cannot be reached."""
        with suppress(KafkaException):
            for topic in {each.topic for each in partitions}:
                found = self._admin.list_topics(topic, timeout=ANSWER_WITHIN).topics[topic].partitions
                numbers = sorted(each.partition for each in partitions if each.topic == topic)
                if offline := [n for n in numbers if n in found and found[n].leader < 0]:
                    return (
                        f"partitions {', '.join(map(str, offline))} of topic {topic!r} have no leader; start the "
                        "brokers that have their replicas"
                    )
        self._admin.poll(0)
        return self._connection.cause("check that every broker is up")


def _raise_unless_transient(message: Message, error: KafkaError) -> None:
    if error.code() not in _TRANSIENT:
        topic, partition = message.topic() or "", message.partition()
        raise SourceLost(
            f"reading topic {topic!r}, partition {partition}, failed: {error.str()} ({error.name()}); "
            f"{on_reading(error, topic)}"
        )
