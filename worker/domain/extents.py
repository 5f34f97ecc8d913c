"""What a partition holds, and where a worker begins to read it: which of what was saved still speaks of its records.

Kafka names topics, offsets and compacted keys by the topic's name. A topic that was deleted and created again has the
same name and counts from 0 again. Only the id that the cluster gives each topic tells the two apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar

from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SourceLost


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds at the moment.

    Attributes:
        topic_id: the cluster's id of the topic; None where the brokers tell none.
        first: offset of the oldest record that is kept.
        end: offset that the next record will get.
        fresh: where a group begins that has committed nothing; None where it may not begin by itself.
    """

    topic_id: str | None
    first: int
    end: int
    fresh: int | None

    def holds(self, topic_id: str | None, next_offset: int) -> bool:
        """Tell whether what was saved of all records below an offset was saved of these records.

        Args:
            topic_id: of the topic that was read then; None if that was not saved.
            next_offset: every record that it includes lies below.
        """
        is_other = topic_id is not None and self.topic_id is not None and topic_id != self.topic_id
        return not is_other and next_offset <= self.end


def recency(topic_id: str | None, next_offset: int) -> tuple[bool, int]:
    """Return what orders several savings of one key, the newest last: older workers saved no topic id."""
    return topic_id is not None, next_offset


class Start(NamedTuple):
    """Where a worker begins to read a partition.

    Attributes:
        checkpoint: the first offset to read, and what is published beyond it.
        missed: records that were deleted before any worker of the group had read them, at most: offsets are counted.
        anew: why the committed offset is left aside; None if it is not.
        is_new: nothing says so yet: the checkpoint is to be committed although no record was read.
    """

    checkpoint: Checkpoint
    missed: int = 0
    anew: str | None = None
    is_new: bool = False


class Restored(NamedTuple):
    """What became of what was saved of a partition.

    Attributes:
        kept: keys of states that go on.
        former: keys of states that begin anew, because the records that they include are no longer there.
        read_again: offset of the last frame that a state includes and that is read again; None without any.
        left_out_from: offset of the first frame that no state includes and that lies below where to begin, if somebody
            else than a worker has set the committed offset; None otherwise.
        is_lost: frames are committed, and no state includes any.
    """

    start: Start
    kept: int
    former: int
    read_again: int | None
    left_out_from: int | None
    is_lost: bool


def start_of(committed: Checkpoint | None, found: Extent | None) -> Start:
    """Decide where to begin.

    Args:
        committed: what the group has committed; None if nothing.
        found: what the partition holds now, asked after `committed` was read; None if that is not known.

    Raises:
        SourceLost: the group has committed nothing, and it may not begin by itself.
    """
    if found is None:
        return Start(committed or Checkpoint(0))
    if committed is None:
        if found.fresh is None:
            raise SourceLost(
                "the group has committed no offset, and auto.offset.reset=error lets no worker choose one; commit one "
                "with Kafka's tools, or set kafka.consumer auto.offset.reset to earliest or latest"
            )
        return Start(Checkpoint(found.fresh, topic_id=found.topic_id), is_new=found.fresh > 0)
    if not found.holds(committed.topic_id, committed.next_offset):
        is_beyond = committed.next_offset > found.end
        anew = (
            f"the committed offset {committed.next_offset} lies beyond the end, {found.end}"
            if is_beyond and committed.topic_id in {None, found.topic_id}
            else "the topic was deleted and created again"
        )
        return Start(Checkpoint(found.first, topic_id=found.topic_id), anew=anew, is_new=True)
    if committed.next_offset < found.first:
        kept = frozenset(each for each in committed.published if each >= found.first)
        missed = found.first - committed.next_offset - (len(committed.published) - len(kept))
        return Start(Checkpoint(found.first, kept, found.topic_id), missed, is_new=True)
    return Start(replace(committed, topic_id=found.topic_id))


class Progress(Protocol):
    """What a state has saved of a key."""

    @property
    def topic_id(self) -> str | None:
        """Of the topic that was read."""

    @property
    def next_offset(self) -> int:
        """Every frame of the key below it is included."""


K = TypeVar("K", bound=Progress)


def restore(
    committed: Checkpoint | None, saved: Sequence[K], found: Extent | None
) -> tuple[Restored, list[K], list[K]]:
    """Decide where to begin, and which of what was saved goes on.

    Args:
        committed: by the group; None if nothing is.
        saved: by the states.
        found: what the partition holds, asked after the others were read; None if it is not known.

    Returns:
        What became of it, what goes on, and what is of records that are no longer there.

    Raises:
        SourceLost: nothing is committed, and the group may not begin by itself.
    """
    start = start_of(committed, found)
    checkpoint = start.checkpoint
    kept, former = list[K](), list[K]()
    for each in saved:
        goes_on = found is None or (start.anew is None and found.holds(each.topic_id, each.next_offset))
        (kept if goes_on else former).append(each)
    included = {each.next_offset - 1 for each in kept}
    is_set_by_hand = committed is not None and checkpoint.topic_id is not None and committed.topic_id is None
    is_beyond = bool(included) and max(included) + 1 < checkpoint.next_offset
    return (
        Restored(
            start,
            kept=len(kept),
            former=len(former),
            read_again=max(
                (each for each in included - checkpoint.published if each >= checkpoint.next_offset), default=None
            ),
            left_out_from=max(included) + 1 if is_set_by_hand and is_beyond else None,
            is_lost=committed is not None and found is not None and committed.next_offset > found.first and not saved,
        ),
        kept,
        former,
    )
