"""A camera whose frames wait behind those of another partition is not silent."""

from tests.flow.test_clips import PARTITION, four, live
from worker.adapters.memory import Assign, Event, MemorySource, Pause
from worker.domain.records import TopicPartition

OTHER = TopicPartition("frames", 1)


class BothBehind(MemorySource):
    """A source that has fetched more of two partitions than was read."""

    def lag(self) -> dict[TopicPartition, int]:
        return {PARTITION: 100, OTHER: 100}


def test_a_partition_that_waits_behind_another_ones_backlog_is_not_silent() -> None:
    backlog = [shot for number in range(100) for shot in four("a", 4 * number, 4 * number)]
    waiting = [shot.at_offset(offset, 1) for offset, shot in enumerate(four("b", 1_000, 40))]
    records: list[Event] = [shot.at_offset(offset) for offset, shot in enumerate(backlog)]
    script = [Assign([PARTITION, OTHER]), *waiting[:2], *records, *waiting[2:], *[Pause()] * 3]
    topic, _ = live(backlog, script, source=BothBehind)

    (clip,) = [each for each in topic.messages() if each.frame.camera == "b"]
    assert (clip.frame.partition, clip.frame.offset) == (1, 3)


def test_a_partition_that_is_never_read_to_its_end_is_silent_once_nothing_comes_at_all() -> None:
    """A transaction's marker is never read, and counts as what was not read."""
    sent = four("a", 0, 40)[:2]
    records: list[Event] = [shot.at_offset(offset) for offset, shot in enumerate(sent)]
    topic, _ = live(sent, [Assign([PARTITION]), *records, *[Pause()] * 200], source=BothBehind)
    assert [clip.shown for clip in topic.clips()] == [(0, 1, 1, 1)]
