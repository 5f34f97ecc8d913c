"""Where a worker begins, as a value of what was committed and of what the partition holds."""

from typing import NamedTuple

import pytest

from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SourceLost
from worker.domain.extents import Extent, Start, recency, restore, start_of

OURS, OTHER = "NCHpi2yKR4aPQtelZrZ7yw", "ZzSP0gLsQA67n+P99XE0zA"
MARKED = Checkpoint(10, frozenset({11, 14}), OURS)


def holding(first: int, end: int, *, fresh: int | None = 0, topic_id: str | None = OURS) -> Extent:
    return Extent(topic_id, first, end, fresh)


@pytest.mark.parametrize("committed", [MARKED, Checkpoint(10, frozenset({11, 14}))])
def test_what_is_committed_of_these_records_is_where_to_begin(committed: Checkpoint) -> None:
    assert start_of(committed, holding(0, 15)) == Start(MARKED)
    assert start_of(committed, holding(10, 10)) == Start(MARKED)


def test_of_a_partition_of_which_nothing_is_known_the_committed_offset_is_believed() -> None:
    assert start_of(MARKED, None) == Start(MARKED)
    assert start_of(None, None) == Start(Checkpoint(0))


@pytest.mark.parametrize(("fresh", "is_new"), [(0, False), (5, True), (30, True)])
def test_a_group_that_has_committed_nothing_begins_where_the_settings_say_and_commits_it(
    fresh: int, *, is_new: bool
) -> None:
    """Else a worker that begins at the end, and ends before a frame comes, would leave out what comes meanwhile."""
    found = holding(min(fresh, 5), 30, fresh=fresh)
    assert start_of(None, found) == Start(Checkpoint(fresh, topic_id=OURS), is_new=is_new)


def test_a_group_that_may_not_choose_says_what_to_do() -> None:
    with pytest.raises(SourceLost, match=r"committed no offset.*set kafka.consumer auto.offset.reset to earliest"):
        start_of(None, holding(0, 30, fresh=None))


@pytest.mark.parametrize("end", [9, 15, 10_000])
def test_offsets_of_a_topic_that_was_created_again_mean_nothing(end: int) -> None:
    start = start_of(MARKED, holding(0, end, topic_id=OTHER))

    assert start == Start(Checkpoint(0, topic_id=OTHER), anew="the topic was deleted and created again", is_new=True)


@pytest.mark.parametrize("topic_id", [None, OURS])
def test_an_offset_beyond_the_end_means_nothing(topic_id: str | None) -> None:
    start = start_of(Checkpoint(10, frozenset({11}), topic_id), holding(3, 9))

    assert (start.checkpoint, start.is_new) == (Checkpoint(3, topic_id=OURS), True)
    assert start.anew == "the committed offset 10 lies beyond the end, 9"


def test_records_that_were_deleted_before_they_were_read_are_counted_and_published_ones_are_not() -> None:
    start = start_of(MARKED, holding(13, 20))

    assert start == Start(Checkpoint(13, frozenset({14}), OURS), missed=2, is_new=True)


@pytest.mark.parametrize(
    ("topic_id", "next_offset", "holds"),
    [(OURS, 9, True), (None, 9, True), (OTHER, 9, False), (OURS, 10, False), (None, 10, False)],
)
def test_what_was_saved_is_of_these_records_or_of_others(
    topic_id: str | None, next_offset: int, *, holds: bool
) -> None:
    assert holding(0, 9).holds(topic_id, next_offset) is holds
    assert holding(0, 9, topic_id=None).holds(topic_id, next_offset) is (next_offset <= 9)


def test_what_was_saved_with_an_id_is_newer_than_what_older_workers_saved() -> None:
    assert sorted([(OURS, 2), (None, 9), (OURS, 1)], key=lambda each: recency(*each)) == [
        (None, 9),
        (OURS, 1),
        (OURS, 2),
    ]


class Saved(NamedTuple):
    topic_id: str | None
    next_offset: int


def test_what_was_saved_goes_on_or_is_of_other_records() -> None:
    saved = [Saved(OURS, 9), Saved(OTHER, 3), Saved(None, 40), Saved(None, 7)]
    restored, kept, former = restore(Checkpoint(9, topic_id=OURS), saved, holding(0, 20))

    assert (kept, former) == ([saved[0], saved[3]], [saved[1], saved[2]])
    assert (restored.kept, restored.former) == (2, 2)
    assert restore(None, saved, None)[1:] == (saved, [])


def test_where_a_partition_begins_anew_nothing_goes_on() -> None:
    saved = [Saved(OURS, 3)]
    assert restore(Checkpoint(40, topic_id=OURS), saved, holding(0, 20))[1:] == ([], saved)


@pytest.mark.parametrize(
    ("committed", "included", "again"),
    [
        (Checkpoint(5, topic_id=OURS), (4, 5), None),
        (Checkpoint(5, topic_id=OURS), (5, 9, 7), 8),
        (Checkpoint(5, frozenset({6, 8}), OURS), (9, 7), None),
        (Checkpoint(5, frozenset({8}), OURS), (9, 7), 6),
    ],
)
def test_the_last_frame_that_is_read_again_is_told(
    committed: Checkpoint, included: tuple[int, ...], again: int | None
) -> None:
    restored, _, _ = restore(committed, [Saved(OURS, each) for each in included], holding(0, 20))
    assert (restored.read_again, restored.is_lost) == (again, False)


@pytest.mark.parametrize(("topic_id", "next_offset", "left_out_from"), [(None, 9, 6), (OURS, 9, None), (None, 6, None)])
def test_frames_that_an_operator_has_left_out_are_told(
    topic_id: str | None, next_offset: int, left_out_from: int | None
) -> None:
    restored, _, _ = restore(Checkpoint(next_offset, topic_id=topic_id), [Saved(OURS, 6)], holding(0, 20))
    assert restored.left_out_from == left_out_from


@pytest.mark.parametrize(("first", "is_lost"), [(0, True), (9, False)])
def test_it_is_told_that_nothing_is_saved_of_frames_that_are_committed(first: int, *, is_lost: bool) -> None:
    assert restore(Checkpoint(9, topic_id=OURS), [], holding(first, 20))[0].is_lost is is_lost
