"""What Kafka hands us and what we hand back, free of any client library."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.checkpoints import Checkpoint
from worker.domain.times import EventMillis

Headers = tuple[tuple[str, bytes | None], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Position(NamedTuple):
    """Where a record lies."""

    partition: TopicPartition
    offset: int

    @property
    def next_offset(self) -> int:
        """What a consumer commits once this record is done: Kafka commits the NEXT offset to read."""
        return self.offset + 1

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read.

    Attributes:
        timestamp: the record's own timestamp, event time in milliseconds; 0 where it has none.
        fault: what of the record could not be read, for a person; None where all of it could.
    """

    position: Position
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: EventMillis
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class OutboundRecord:
    """One record to be written.

    Attributes:
        partition: the partition to write to, or None to let the key decide.
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


OnPartitions = Callable[[Collection[TopicPartition]], None]
"""Is told, inside a poll and nowhere else, which partitions come or go."""

OnCommitted = Callable[[Mapping[TopicPartition, Checkpoint], str | None], None]
"""Is told which checkpoints a commit stored, and what went wrong with the others: None if nothing did."""

OnMissed = Callable[[TopicPartition, int], None]
"""Is told, inside a poll, how many records of a partition were deleted before they could be read."""

OnWaiting = Callable[[Collection[TopicPartition], Collection[str]], None]
"""Is told, inside a poll, all partitions that wait, and the outputs that have too few partitions for them."""

Stopping = Callable[[], bool]
"""Tells whether the worker was told to stop. Who waits for brokers asks every second or two, and raises Stopped."""
