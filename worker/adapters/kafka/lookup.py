"""Records by where they lie."""

import time
from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as Partition

from worker.adapters.kafka.messages import record_of
from worker.adapters.kafka.reader import STALLED_AFTER, KafkaReader, _judge
from worker.domain.errors import SourceLost
from worker.domain.records import Position, Record


class KafkaLookup(KafkaReader):
    """A reader that can also fetch single records."""

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
