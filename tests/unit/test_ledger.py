"""The ledger of a partition, step by step and against a brute-force one."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import FRAMES, a_frame
from worker.domain.checkpoints import SPAN, Checkpoint
from worker.domain.records import Position
from worker.domain.samples import Sample, Skipped
from worker.stream.ledger import Ledger


def at(offset: int) -> Position:
    return Position(FRAMES, offset)


def done(offset: int, camera: str = "a") -> Skipped:
    """Return an outcome; the ledger does not care which kind."""
    return Skipped(a_frame(offset, camera=camera).frame, "test")


def a_ledger(*frames: int | tuple[int, str], published: Sequence[int] = ()) -> Ledger:
    ledger = Ledger()
    ledger.restore(Checkpoint(0, frozenset(published)))
    for each in frames:
        offset, camera = each if isinstance(each, tuple) else (each, "a")
        ledger.begin(at(offset), camera, size=10)
    return ledger


def offsets(ledger: Ledger) -> list[int]:
    return [outcome.position.offset for outcome in ledger.ready()]


def publish(ledger: Ledger, needed: int | None = None) -> None:
    """Publish what is ready, if anything is."""
    if outcomes := ledger.ready():
        ledger.settle(outcomes, ledger.stage(outcomes, needed))


def a_clip(*needs: int, answers: int) -> Sample:
    return Sample(tuple(a_frame(each) for each in needs), (a_frame(answers),))


def test_an_outcome_waits_for_every_earlier_frame_of_its_camera() -> None:
    ledger = a_ledger(10, 11, 12)
    ledger.finish(done(11))
    assert ledger.ready() == []
    assert not ledger.has_ready()

    ledger.finish(done(10))
    assert offsets(ledger) == [10, 11]
    assert ledger.has_ready()


def test_no_camera_waits_for_another_and_the_mark_says_what_is_published() -> None:
    ledger = a_ledger((10, "a"), (11, "b"), (12, "a"), (13, "b"))
    for offset, camera in ((11, "b"), (12, "a"), (13, "b")):
        ledger.finish(done(offset, camera))
    assert offsets(ledger) == [11, 13]

    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(10, frozenset({11, 13}))
    ledger.finish(done(10, "a"))
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(14)


def test_results_of_several_cameras_leave_in_the_order_of_offsets() -> None:
    ledger = a_ledger((10, "a"), (11, "b"), (12, "a"))
    for offset, camera in ((12, "a"), (11, "b"), (10, "a")):
        ledger.finish(done(offset, camera))

    assert offsets(ledger) == [10, 11, 12]


def test_ready_outcomes_stay_until_they_are_settled() -> None:
    ledger = a_ledger(10, 11)
    ledger.finish(done(10))

    assert offsets(ledger) == offsets(ledger) == [10]
    publish(ledger)
    assert offsets(ledger) == []
    assert ledger.checkpoint(None) == Checkpoint(11)


def test_staging_remembers_nothing() -> None:
    ledger = a_ledger(10, 11)
    ledger.finish(done(10))

    assert ledger.stage(ledger.ready(), None) == ledger.stage(ledger.ready(), None) == Checkpoint(11)
    assert ledger.checkpoint(None) is None
    assert len(ledger) == 2


def test_offsets_may_have_gaps_as_in_compacted_topics() -> None:
    ledger = a_ledger(3, 70, 71)
    for offset in (3, 70):
        ledger.finish(done(offset))
    publish(ledger)

    assert ledger.checkpoint(None) == Checkpoint(71)
    assert len(ledger) == 1


def test_reading_backwards_is_refused_in_flight_and_after_settling() -> None:
    ledger = a_ledger(10, 11)
    with pytest.raises(ValueError, match=r"frames\[0\]@11 was read again"):
        ledger.begin(at(11), "a", size=1)

    for offset in (10, 11):
        ledger.finish(done(offset))
    publish(ledger)
    with pytest.raises(ValueError, match="below offset 12"):
        ledger.begin(at(11), "a", size=1)


def test_bytes_in_flight_are_those_of_frames_not_settled() -> None:
    ledger = a_ledger(10, 11, 12)
    assert ledger.in_flight_bytes == 30
    ledger.finish(done(10))
    publish(ledger)
    assert ledger.in_flight_bytes == 20


def test_a_frame_that_was_published_before_is_context_and_nothing_becomes_of_it() -> None:
    ledger = a_ledger((10, "a"), (11, "b"), (12, "a"), published=[11])
    assert (len(ledger), ledger.in_flight_bytes) == (2, 20)

    ledger.finish(done(11, "b"))
    assert ledger.expect(a_clip(11, answers=11)) is None
    ledger.finish(done(12, "a"))
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(10, frozenset({11}))


def test_the_mark_is_handed_on_as_long_as_the_offset_stays() -> None:
    ledger = a_ledger((10, "a"), (11, "b"), (12, "b"), published=[11])
    ledger.finish(done(12, "b"))
    publish(ledger)

    assert ledger.checkpoint(None) == Checkpoint(10, frozenset({11, 12}))


def test_frames_that_are_only_read_again_move_the_checkpoint_too() -> None:
    ledger = a_ledger(published=[10, 11])
    assert ledger.checkpoint(None) is None
    for offset in (10, 11):
        ledger.begin(at(offset), "a", size=10)

    assert ledger.checkpoint(None) == Checkpoint(12)
    assert not ledger.has_ready()


def test_an_end_that_was_reached_moves_the_checkpoint_as_far_as_open_frames_let_it() -> None:
    ledger = a_ledger((10, "a"), (11, "b"))
    ledger.finish(done(10))
    publish(ledger)
    ledger.pass_to(14)
    assert ledger.checkpoint(None) == Checkpoint(11)

    ledger.finish(done(11, "b"))
    publish(ledger)
    assert ledger.checkpoint(13) == Checkpoint(13)
    assert ledger.checkpoint(None) == Checkpoint(14)
    ledger.begin(at(14), "a", size=10)


def test_an_end_at_which_reading_began_is_nothing_to_commit() -> None:
    ledger = a_ledger()
    ledger.restore(Checkpoint(7))
    ledger.pass_to(7)
    assert ledger.checkpoint(None) is None

    ledger.pass_to(8)
    assert ledger.checkpoint(None) == Checkpoint(8)


def test_what_was_published_and_deleted_before_it_was_read_again_leaves_the_mark() -> None:
    ledger = a_ledger((10, "a"), published=[5, 12])
    ledger.finish(done(10))
    publish(ledger)

    checkpoint = ledger.checkpoint(None)
    assert checkpoint == Checkpoint(11, frozenset({12}))
    assert Checkpoint.read(11, checkpoint.metadata()) == checkpoint


def test_where_to_begin_is_committed_at_once_if_nothing_says_so_yet() -> None:
    ledger = Ledger()
    ledger.restore(Checkpoint(5, topic_id="id"), is_new=True)
    assert ledger.checkpoint(None) == Checkpoint(5, topic_id="id")


def test_a_whole_mark_that_is_read_again_holds_nothing_back() -> None:
    ledger = a_ledger(*range(10, 10 + SPAN), published=range(10, 10 + SPAN))
    ledger.begin(at(10 + SPAN), "a", size=10)
    ledger.finish(done(10 + SPAN))
    assert not ledger.has_ready()

    assert ledger.checkpoint(None) == Checkpoint(10 + SPAN)
    assert offsets(ledger) == [10 + SPAN]


def test_the_mark_of_frames_that_are_not_read_again_yet_is_handed_on_too() -> None:
    ledger = a_ledger(10, published=[12, 13])
    ledger.finish(done(10))
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(11, frozenset({12, 13}))

    for offset in (11, 12):
        ledger.begin(at(offset), "a", size=10)
    ledger.finish(done(11))
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(13, frozenset({13}))


def test_the_offset_stays_behind_what_an_unpublished_sample_needs() -> None:
    ledger = a_ledger(10, 11, 12)
    for offset in (10, 11):
        ledger.finish(done(offset))
    assert ledger.expect(a_clip(11, 12, answers=12)) == a_clip(11, 12, answers=12)
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(11, frozenset({11}))

    ledger.finish(done(12))
    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(13)


def test_the_offset_stays_behind_what_later_samples_need() -> None:
    ledger = a_ledger(10, 11, 12)
    for offset in (10, 11, 12):
        ledger.finish(done(offset))
    publish(ledger, needed=11)

    assert ledger.checkpoint(11) == Checkpoint(11, frozenset({11, 12}))
    assert ledger.checkpoint(12) == Checkpoint(12, frozenset({12}))


def test_answers_that_are_published_are_left_out_of_a_sample() -> None:
    ledger = a_ledger(10, 11, published=[10])
    sample = Sample((a_frame(10), a_frame(11)), (a_frame(10), a_frame(11)))
    expected = ledger.expect(sample)

    assert expected is not None
    assert expected.frames == sample.frames
    assert expected.answers == sample.answers[1:]


def test_what_lies_too_far_beyond_for_the_mark_waits() -> None:
    ledger = a_ledger((10, "a"), (9 + SPAN, "b"), (10 + SPAN, "b"))
    ledger.finish(done(9 + SPAN, "b"))
    ledger.finish(done(10 + SPAN, "b"))
    assert offsets(ledger) == [9 + SPAN]
    publish(ledger)
    assert not ledger.has_ready()

    ledger.finish(done(10, "a"))
    publish(ledger)
    assert offsets(ledger) == [10 + SPAN]


def test_a_gap_in_the_offsets_holds_nothing_back() -> None:
    ledger = a_ledger(10)
    ledger.finish(done(10))
    publish(ledger)
    ledger.begin(at(20 + 2 * SPAN), "a", size=10)
    ledger.finish(done(20 + 2 * SPAN))

    assert offsets(ledger) == [20 + 2 * SPAN]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc")), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_against_a_brute_force_one(frames: list[tuple[int, str]], order: random.Random, settle_every: int) -> None:
    cameras = {sum(gap for gap, _ in frames[: number + 1]): camera for number, (_, camera) in enumerate(frames)}
    ledger, finished, published = a_ledger(*cameras.items()), set[int](), set[int]()
    end = max(cameras) + 1
    for count, offset in enumerate(order.sample(list(cameras), len(cameras)), start=1):
        ledger.finish(done(offset, cameras[offset]))
        finished.add(offset)
        free = {
            each
            for each, camera in cameras.items()
            if all(before in finished for before, other in cameras.items() if other == camera and before <= each)
        }
        assert offsets(ledger) == sorted(free - published)
        assert ledger.has_ready() == bool(free - published)
        if count % settle_every == 0 and free - published:
            publish(ledger)
            published |= free
            oldest = min(set(cameras) - published, default=end)
            assert ledger.checkpoint(None) == Checkpoint(oldest, frozenset(each for each in published if each > oldest))

    publish(ledger)
    assert ledger.checkpoint(None) == Checkpoint(end)
