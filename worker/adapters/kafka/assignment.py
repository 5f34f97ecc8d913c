"""The partitions that the group has given to this consumer: held until it is known where to begin, then read."""

from collections.abc import Collection, Iterable, Mapping

from confluent_kafka import OFFSET_END, Consumer
from confluent_kafka import TopicPartition as Partition

from worker.domain.records import TopicPartition


class Assignment:
    """Which partitions are read, and which are ours and not read yet.

    librdkafka would begin at the committed offset, and elsewhere without a word if there is none or it is out of range.
    Here nothing is read of a partition before `begin` has said from where.

    Args:
        consumer: a member of a group.
        is_cooperative: the group's protocol moves single partitions. Otherwise, the consumer gives all of them to
            librdkafka again when one is placed anew.

    Attributes:
        held: ours, and not read yet.
    """

    def __init__(self, consumer: Consumer, *, is_cooperative: bool) -> None:
        self.held = set[TopicPartition]()
        self._consumer = consumer
        self._is_cooperative = is_cooperative
        self._begun: dict[TopicPartition, int] = {}

    @property
    def begun(self) -> Collection[TopicPartition]:
        """The partitions that are read."""
        return self._begun.keys()

    def add(self, partitions: Collection[TopicPartition]) -> None:
        """Take partitions that the group has just given; only to be called where it tells so."""
        self.held.update(partitions)
        at_end = [Partition(*each, OFFSET_END) for each in partitions]
        if self._is_cooperative:
            self._consumer.incremental_assign(at_end)
        else:
            self._consumer.assign(at_end)
        self._consumer.pause(at_end)

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that are not ours any more."""
        for each in partitions:
            self.held.discard(each)
            self._begun.pop(each, None)

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Read no more of partitions until they are begun again."""
        self._consumer.pause([Partition(*each) for each in partitions])
        self.remove(partitions)
        self.held.update(partitions)

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read partitions of ours from these offsets on."""
        self.held.difference_update(offsets)
        self._begun.update(offsets)
        # A seek fails on a partition whose first offset is not known yet, and on one whose offset was out of range.
        placed = [Partition(*each, offset) for each, offset in offsets.items()]
        if self._is_cooperative:
            self._consumer.incremental_unassign(placed)
            self._consumer.incremental_assign(placed)
        else:
            others = [Partition(*each, self._next(each)) for each in self._begun if each not in offsets]
            held = [Partition(*each, OFFSET_END) for each in self.held]
            self._consumer.assign([*placed, *others, *held])
            self._consumer.pause(held)
        self._consumer.resume(placed)

    def _next(self, partition: TopicPartition) -> int:
        (found,) = self._consumer.position([Partition(*partition)])
        return found.offset if found.offset >= 0 else self._begun[partition]
