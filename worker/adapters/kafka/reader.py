"""Reads whole partitions outside any consumer group: to the end once, or on and on."""

import time
from collections.abc import Collection, Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log_error, make_client, record_of
from worker.domain.errors import SourceLost
from worker.domain.records import Position, Record, TopicPartition

STALLED_AFTER = 60.0
"""Seconds without a single record or end after which reading to the end gives up."""

BATCH_WITHIN = 0.05
"""Seconds a batch of a thousand may take to fill: what the end costs at most."""


class KafkaReader:
    """Reads partitions from their beginning or end, commits nothing, joins no group.

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

    def read_to_end(self, partitions: Collection[TopicPartition], *, wait_for_open: bool = False) -> Iterator[Record]:
        """Yield every committed record that lay in the partitions when this was called.

        Args:
            partitions: which to read.
            wait_for_open: read up to the high watermark, and so wait for transactions that are open: who has seen
                offsets that were committed with records must see those records too. Else the last stable offset is
                the end.

        Raises:
            SourceLost: a partition is missing or cannot be read, or nothing came for a minute.
        """
        self._assign(partitions, OFFSET_BEGINNING)
        open_ends = self._high_watermarks(partitions) if wait_for_open else dict.fromkeys(partitions, 0)
        heard = time.monotonic()
        while open_ends:
            messages = self._consumer.consume(1000, timeout=BATCH_WITHIN)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALLED_AFTER:
                raise SourceLost(f"no answer for {STALLED_AFTER:.0f} s while reading {sorted(map(str, open_ends))}")
            for message in messages:
                error = message.error()
                if error is None:
                    yield record_of(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    place = TopicPartition(message.topic() or "", message.partition() or 0)
                    if (message.offset() or 0) >= open_ends.get(place, 0):
                        open_ends.pop(place, None)
                else:
                    _judge(error)

    def follow(
        self, partitions: Collection[TopicPartition], *, from_beginning: bool, timeout: float = 0.2
    ) -> Iterator[Record | None]:
        """Yield records as they come, and None whenever nothing came for `timeout` seconds.

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
                _judge(error)

    def at(self, positions: Iterable[Position]) -> Iterator[Record]:
        """Yield the records at these positions, in their order; those that are not there, or no longer, are left out.

        Raises:
            SourceLost: a partition cannot be read, or nothing came for a minute.
        """
        following = None
        for wanted in sorted(positions):
            if wanted != following:
                topic, partition = wanted.partition.topic, wanted.partition.partition
                self._consumer.assign([Partition(topic, partition, wanted.offset)])
            record = self._take()
            following = Position(record.position.partition, record.position.next_offset) if record else None
            if record is not None and record.position == wanted:
                yield record

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _take(self) -> Record | None:
        """Return the next record, or None at the end."""
        heard = time.monotonic()
        while time.monotonic() - heard < STALLED_AFTER:
            message = self._consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return record_of(message)
            if error.code() == KafkaError._PARTITION_EOF:
                return None
            _judge(error)
        raise SourceLost(f"no answer for {STALLED_AFTER:.0f} s while fetching single records")

    def _assign(self, partitions: Collection[TopicPartition], offset: int) -> None:
        for topic in {each.topic for each in partitions}:
            self._find(topic, [each.partition for each in partitions if each.topic == topic])
        self._consumer.assign([Partition(each.topic, each.partition, offset) for each in partitions])

    def _high_watermarks(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(
            {Partition(each.topic, each.partition): latest for each in partitions},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=STALLED_AFTER,
        )
        try:
            return {TopicPartition(p.topic, p.partition): answer.result().offset for p, answer in asked.items()}
        except KafkaException as error:
            raise SourceLost(f"the ends of partitions cannot be told: {error.args[0].str()}") from error

    def _find(self, topic: str, numbers: list[int]) -> None:
        try:
            found = self._consumer.list_topics(topic, timeout=STALLED_AFTER).topics[topic].partitions
        except KafkaException as error:
            raise SourceLost(f"no broker answered within {STALLED_AFTER:.0f} s: {error.args[0].str()}") from error
        if missing := set(numbers) - set(found):
            raise SourceLost(
                f"topic {topic!r} has no partition {min(missing)}; it has {len(found)}: create or enlarge it"
            )


def _judge(error: KafkaError) -> None:
    if error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        raise SourceLost(f"reading failed: {error.str()} ({error.name()})")
