"""A source and a sink without Kafka: for replaying files, and for tests that script a broker's behaviour."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed, DeliveryRefused
from worker.domain.extents import Extent
from worker.domain.records import (
    OnCommitted,
    OnMissed,
    OnPartitions,
    OnWaiting,
    OutboundRecord,
    Record,
    Stopping,
    TopicPartition,
)


@dataclass(frozen=True, slots=True)
class Assign:
    """Partitions are assigned."""

    partitions: Collection[TopicPartition]


@dataclass(frozen=True, slots=True)
class Revoke:
    """Partitions are revoked; their offsets can still be committed."""

    partitions: Collection[TopicPartition]


@dataclass(frozen=True, slots=True)
class Lose:
    """Partitions are lost; nothing can be committed."""

    partitions: Collection[TopicPartition]


@dataclass(frozen=True, slots=True)
class End:
    """A partition was read to its end."""

    partition: TopicPartition
    offset: int


@dataclass(frozen=True, slots=True)
class Pause:
    """This poll returns no records."""


Event = Record | Sequence[Record] | Assign | Revoke | Lose | End | Pause


class MemorySource:
    """Plays a script, one event per poll; a record of an unassigned partition first assigns the partition.

    Args:
        failing_commits: numbers of the commits that fail, from 0.
        extents: what partitions hold; of others it is not known.

    Attributes:
        committed: the checkpoints committed so far.
    """

    def __init__(
        self,
        script: Iterable[Event],
        *,
        failing_commits: Collection[int] = (),
        extents: Mapping[TopicPartition, Extent] | None = None,
    ) -> None:
        self._commits = 0
        self._failing_commits = failing_commits
        self._extents = extents or {}
        self._passed: dict[TopicPartition, int] = {}
        self._script: Iterator[Event] = iter(script)
        self._assigned: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, Checkpoint] = {}

    def subscribe(
        self,
        *,
        on_assigned: OnPartitions,
        on_revoked: OnPartitions,
        on_lost: OnPartitions,
        on_committed: OnCommitted,
        on_missed: OnMissed,  # noqa: ARG002 a script misses nothing
        on_waiting: OnWaiting,  # noqa: ARG002 an output in memory has every partition
    ) -> None:
        """Store the callbacks."""
        self._on_assigned, self._on_revoked, self._on_lost = on_assigned, on_revoked, on_lost
        self._on_committed = on_committed

    def poll(self, timeout: float) -> Sequence[Record] | None:  # noqa: ARG002 a script does not wait
        """Play the next event; None at the end of the script."""
        event = next(self._script, None)
        match event:
            case None:
                return None
            case Record():
                return self._hand_out([event])
            case Assign(partitions):
                self._assigned.update(partitions)
                self._on_assigned(partitions)
            case Revoke(partitions):
                self._on_revoked(partitions)
                self._assigned.difference_update(partitions)
            case Lose(partitions):
                self._assigned.difference_update(partitions)
                self._on_lost(partitions)
            case End(partition, offset):
                self._passed[partition] = offset
            case Pause():
                pass
            case _:
                return self._hand_out(event)
        return []

    def passed(self) -> Mapping[TopicPartition, int]:
        """Return the ends that the script has told since the last call."""
        if not self._passed:
            return {}
        passed, self._passed = self._passed, {}
        return passed

    def checkpoints(
        self,
        partitions: Collection[TopicPartition],
        stopping: Stopping,  # noqa: ARG002 instant
    ) -> Mapping[TopicPartition, Checkpoint]:
        """Return the committed checkpoints of these partitions."""
        return {each: self.committed[each] for each in partitions if each in self.committed}

    def extents(
        self,
        partitions: Collection[TopicPartition],
        stopping: Stopping,  # noqa: ARG002 instant
    ) -> Mapping[TopicPartition, Extent]:
        """Return what is known of these partitions."""
        return {each: self._extents[each] for each in partitions if each in self._extents}

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Do nothing: the script says which records come."""

    def commit(self, checkpoints: Mapping[TopicPartition, Checkpoint], *, wait: bool) -> None:  # noqa: ARG002 instant
        """Store the checkpoints, unless this commit shall fail."""
        fails = self._commits in self._failing_commits
        self._commits += 1
        if not fails:
            self.committed.update(checkpoints)
        self._on_committed({} if fails else checkpoints, "told to fail" if fails else None)

    def lag(self) -> Mapping[TopicPartition, int]:
        """Return nothing: the length of a script is unknown."""
        return {}

    def close(self) -> None:
        """Do nothing: there is no group to leave."""

    def _hand_out(self, records: Sequence[Record]) -> Sequence[Record]:
        new = {record.position.partition for record in records} - self._assigned
        if new:
            self._assigned |= new
            self._on_assigned(new)
        return records


class MemorySink:
    """Stores published records, or passes them to a writer.

    Args:
        write: is called with each confirmed record; None stores them in `published`.
        failures: numbers of the publications that fail, from 0, and how many of their records are written anyway.
        refusals: numbers of the publications that are refused, from 0, as after a rebalance.
        commit: stores checkpoints in one step with the records (exactly once); None leaves that to the source.
    """

    def __init__(
        self,
        write: Callable[[OutboundRecord], None] | None = None,
        *,
        failures: Mapping[int, int] | None = None,
        refusals: Collection[int] = (),
        commit: Callable[[Mapping[TopicPartition, Checkpoint]], None] | None = None,
    ) -> None:
        self.published: list[OutboundRecord] = []
        self.exactly_once = commit is not None
        self._write = write or self.published.append
        self._failures = failures or {}
        self._refusals = refusals
        self._commit = commit
        self._count = 0

    def publish(
        self,
        records: Sequence[OutboundRecord],
        checkpoints: Mapping[TopicPartition, Checkpoint],
        *,
        within: float,  # noqa: ARG002 it is instant
    ) -> None:
        """Write the records, unless this publication shall fail."""
        number, self._count = self._count, self._count + 1
        if number in self._refusals:
            raise DeliveryRefused(f"publication {number} was told to be refused")
        written = self._failures.get(number)
        if written is None or self._commit is None:  # a failed transaction writes nothing
            for record in records[:written]:
                self._write(record)
        if written is not None:
            raise DeliveryFailed(f"publication {number} was told to fail after {written} records")
        if self._commit is not None:
            self._commit(checkpoints)

    def close(self) -> None:
        """Do nothing: there is no connection."""
