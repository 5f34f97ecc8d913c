"""Read whole partitions without a consumer group: once to the end, or continuously."""

import time
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log_error, make_client, record_of
from worker.adapters.kafka.patience import never, persist, raise_if, result_of
from worker.domain.errors import SourceLost
from worker.domain.records import Position, Record, Stopping, TopicPartition
from worker.domain.times import EventMillis

STALLED_AFTER = 60.0
"""Seconds without a record or an end of partition after which reading fails."""

DISORDER_MS = 3_600_000
"""Milliseconds by which the timestamps of a partition may be out of order for `written_between` to find all records."""

_PASSES: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError.LEADER_NOT_AVAILABLE})
"""Errors that end by waiting."""

BATCH_WITHIN = 0.05
"""Seconds to wait for a batch of 1,000 records; this bounds the wait at the end of a partition."""


class KafkaReader:
    """Reads partitions from their beginning or end. It commits nothing and joins no group.

    Args:
        options: librdkafka options under their own names.
    """

    def __init__(self, bootstrap_servers: str, options: Options) -> None:
        self._admin = make_client(AdminClient, options, {"bootstrap.servers": bootstrap_servers, "logger": RDKAFKA_LOG})
        self._consumer = make_client(
            Consumer,
            {"fetch.wait.max.ms": 10},
            options,
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "unused: this reader assigns itself",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "error_cb": log_error,
                "logger": RDKAFKA_LOG,
            },
        )

    def read_to_end(
        self, partitions: Collection[TopicPartition], *, wait_for_open: bool = False, stopping: Stopping = never
    ) -> Iterator[Record]:
        """Yield every committed record that was in the partitions when this was called.

        Args:
            partitions: the partitions to read.
            wait_for_open: read up to the high watermark, and so wait for open transactions: a caller that has seen
                committed offsets must also see the records that were committed with them. Otherwise, read up to the
                last stable offset.
            stopping: whether to give up.

        Raises:
            SourceLost: a partition is missing or cannot be read, or nothing was received for a minute.
            Stopped: the worker was told to stop meanwhile.
        """
        self._assign(partitions, OFFSET_BEGINNING, stopping)
        open_ends = self._high_watermarks(partitions, stopping) if wait_for_open else dict.fromkeys(partitions, 0)
        last_received = time.monotonic()
        while open_ends:
            raise_if(stopping)
            messages = self._consumer.consume(1000, timeout=BATCH_WITHIN)
            if messages:
                last_received = time.monotonic()
            elif time.monotonic() - last_received > STALLED_AFTER:
                raise SourceLost(
                    f"no answer for {STALLED_AFTER:.0f} s while reading {', '.join(sorted(map(str, open_ends)))}; "
                    "check that every broker is up, and that no transaction on these partitions is left open"
                )
            for message in messages:
                error = message.error()
                if error is None:
                    yield record_of(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended = TopicPartition(message.topic() or "", message.partition() or 0)
                    if (message.offset() or 0) >= open_ends.get(ended, 0):
                        open_ends.pop(ended, None)
                else:
                    _raise_unless_transient(error, message.topic())

    def follow(
        self, partitions: Collection[TopicPartition], *, from_beginning: bool, timeout: float = 0.2
    ) -> Iterator[Record | None]:
        """Yield records as they arrive, and None whenever none arrived for `timeout` seconds.

        Raises:
            SourceLost: a partition cannot be read.
        """
        self._assign(partitions, OFFSET_BEGINNING if from_beginning else OFFSET_END)
        while True:
            message = self._consumer.poll(timeout)
            if message is None:
                yield None
            elif (error := message.error()) is None:
                yield record_of(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                _raise_unless_transient(error, message.topic())

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
            _raise_unless_transient(error, message.topic())
        raise SourceLost(
            f"no answer for {STALLED_AFTER:.0f} s while fetching single records; check that every broker is up"
        )

    def _offset_at(self, partition: TopicPartition, at: int) -> int:
        """Return the first offset whose record was written at this time or later; -1 if there is none."""
        asked = Partition(partition.topic, partition.partition, at)
        try:
            (found,) = self._consumer.offsets_for_times([asked], timeout=STALLED_AFTER)
        except KafkaException as error:
            raise SourceLost(f"the times of {partition} cannot be read: {error.args[0].str()}") from error
        return int(found.offset)

    def _assign(self, partitions: Collection[TopicPartition], offset: int, stopping: Stopping = never) -> None:
        for topic in {each.topic for each in partitions}:
            self._check_topic(topic, [each.partition for each in partitions if each.topic == topic], stopping)
        self._consumer.assign([Partition(each.topic, each.partition, offset) for each in partitions])

    def _high_watermarks(
        self, partitions: Collection[TopicPartition], stopping: Stopping = never
    ) -> dict[TopicPartition, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]

        def ask(limit: float) -> dict[TopicPartition, int]:
            answers = self._admin.list_offsets(
                {Partition(each.topic, each.partition): latest for each in partitions},
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=limit,
            )
            return {TopicPartition(p.topic, p.partition): result_of(each, limit).offset for p, each in answers.items()}

        try:
            return persist(ask, within=STALLED_AFTER, stopping=stopping)
        except KafkaException as error:
            topics = " and ".join(repr(each) for each in sorted({each.topic for each in partitions}))
            raise _unreadable(topics, error.args[0]) from error

    def _check_topic(self, topic: str, numbers: list[int], stopping: Stopping = never) -> None:
        def ask(limit: float) -> ClusterMetadata:
            found: ClusterMetadata = self._consumer.list_topics(topic, timeout=limit)
            return found

        try:
            found = persist(ask, within=STALLED_AFTER, stopping=stopping).topics[topic]
        except KafkaException as error:
            raise SourceLost(
                f"no broker answered within {STALLED_AFTER:.0f} s about topic {topic!r}: {error.args[0].str()}; check "
                "that the brokers are up, and kafka.bootstrap_servers"
            ) from error
        if found.error is not None and found.error.code() not in _PASSES:
            raise _unreadable(repr(topic), found.error)
        if missing := set(numbers) - set(found.partitions):
            raise SourceLost(
                f"topic {topic!r} has no partition {min(missing)}; it has {len(found.partitions)}: create it or add "
                "partitions"
            )


def _raise_unless_transient(error: KafkaError, topic: str | None) -> None:
    if error.code() not in _PASSES:
        raise _unreadable(repr(topic), error)


def _unreadable(topic: str, error: KafkaError) -> SourceLost:
    return SourceLost(
        f"topic {topic} cannot be read: {error.str()} ({error.name()}); "
        + {
            KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read it and to describe it",
            KafkaError.UNKNOWN_TOPIC_OR_PART: "create it, with as many partitions as the frames' topic",
        }.get(error.code(), "vision-worker check tells more")
    )
