"""Begins to read partitions as the worker does."""

from collections.abc import Collection

from worker.adapters.kafka import KafkaSource
from worker.adapters.kafka.patience import never
from worker.domain.extents import start_of
from worker.domain.records import TopicPartition


def begin(source: KafkaSource, partitions: Collection[TopicPartition]) -> None:
    """Begin where the group has committed, or where it has to begin without."""
    if partitions:
        committed, found = source.checkpoints(partitions, never), source.extents(partitions, never)
        starts = {each: start_of(committed.get(each), found.get(each)) for each in partitions}
        source.begin({each: start.checkpoint.next_offset for each, start in starts.items()})
