"""The partitions that the group has given to this consumer: held until it is known where to begin, then read."""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition

from worker.domain.records import TopicPartition

_STARTS_WITHIN: Final = 5.0
"""Seconds within which librdkafka begins to look after a partition that it was given."""
_PAUSE: Final = 0.01
_NOWHERE: Final = 0
"""Where a held partition stands. It is a number, because librdkafka would look up a logical offset. If the answer comes
after a pause or a seek, librdkafka looks it up again half a second later, and then jumps there: records would be lost.
"""


class Assignment:
    """Which partitions are read, and which are ours and not read yet.

    librdkafka would begin at the committed offset, and elsewhere without a word if there is none or it is out of range.
    Here nothing is read of a partition before `begin` has said from where.

    Args:
        consumer: a member of a group.
        is_cooperative: the group's protocol moves single partitions, and not all at once.

    Attributes:
        held: ours, and not read yet.
    """

    def __init__(self, consumer: Consumer, *, is_cooperative: bool) -> None:
        self.held = set[TopicPartition]()
        self._consumer = consumer
        self._is_cooperative = is_cooperative
        self._begun: dict[TopicPartition, int] = {}
        self._failed = set[TopicPartition]()

    @property
    def begun(self) -> Collection[TopicPartition]:
        """The partitions that are read."""
        return self._begun.keys()

    def add(self, partitions: Collection[TopicPartition]) -> None:
        """Take partitions that the group has just given; only to be called where it tells so."""
        self.held.update(partitions)
        placed = [Partition(*each, _NOWHERE) for each in partitions]
        if self._is_cooperative:
            self._consumer.incremental_assign(placed)
        else:
            self._consumer.assign(placed)
        self._consumer.pause(placed)

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that are not ours any more."""
        for each in partitions:
            self.held.discard(each)
            self._failed.discard(each)
            self._begun.pop(each, None)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Read no more of partitions until they are begun again."""
        self._consumer.pause([Partition(*each) for each in partitions])
        for each in partitions:
            del self._begun[each]
        self.held.update(partitions)

    def fail(self, partition: TopicPartition) -> None:
        """Note that librdkafka has stopped to read a partition, because its offset was out of range."""
        self._failed.add(partition)

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read partitions of ours from these offsets on."""
        self.held.difference_update(offsets)
        self._begun.update(offsets)
        placed = [Partition(*each, offset) for each, offset in offsets.items()]
        lost = [each for each in placed if TopicPartition(each.topic, each.partition) in self._failed]
        lost += [each for each in placed if each not in lost and not self._seek(each)]
        if lost:
            self._give_again(lost)
        self._failed.difference_update(offsets)
        self._consumer.resume(placed)

    def _seek(self, placed: Partition) -> bool:
        """Tell whether a partition is placed; it is not if librdkafka does not look after it."""
        deadline = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                self._consumer.seek(placed)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise
                if time.monotonic() > deadline:
                    return False
                time.sleep(_PAUSE)
            else:
                return True

    def _give_again(self, placed: Collection[Partition]) -> None:
        """Give librdkafka partitions that it has stopped to read as if the group had just given them."""
        if self._is_cooperative:
            self._consumer.incremental_unassign(list(placed))
            self._consumer.incremental_assign(list(placed))
            return
        names = {TopicPartition(each.topic, each.partition) for each in placed}
        others = [Partition(*each, self._next(each)) for each in self._begun if each not in names]
        held = [Partition(*each, _NOWHERE) for each in self.held]
        self._consumer.assign([*placed, *others, *held])
        self._consumer.pause(held)

    def _next(self, partition: TopicPartition) -> int:
        (found,) = self._consumer.position([Partition(*partition)])
        return found.offset if found.offset >= 0 else self._begun[partition]
