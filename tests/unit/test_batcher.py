"""The batcher, step by step. Time runs to the right; windows are 1000 ms, `x` is a frame.

window   |0        1000|1000      2000|
frames    x    x      x  x
                          ^ with lateness 200 the first window closes only at capture time 1200
"""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import FRAMES, a_frame
from worker.domain.batches import BatchLimits, ClosedBy, FrameBatch
from worker.domain.records import TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows, Window
from worker.stream.batcher import WindowBatcher

NOW = Monotonic(100.0)
FIRST = Window(EventMillis(0), EventMillis(1_000))
SECOND = Window(EventMillis(1_000), EventMillis(2_000))


def a_batcher(*, lateness: int = 200, linger: float = 0.5, max_frames: int = 10) -> WindowBatcher:
    return WindowBatcher(TumblingWindows(1_000), lateness=lateness, limits=BatchLimits(linger, max_frames))


def offsets(batch: FrameBatch) -> list[int]:
    return [frame.position.offset for frame in batch.frames]


def test_a_window_closes_when_the_watermark_passes_its_end() -> None:
    batcher = a_batcher(lateness=200)

    assert batcher.add(a_frame(0, captured_at=100), NOW) == []
    assert batcher.add(a_frame(1, captured_at=999), NOW) == []
    assert batcher.add(a_frame(2, captured_at=1_199), NOW) == []
    (closed,) = batcher.add(a_frame(3, captured_at=1_200), NOW)

    assert closed.window == FIRST
    assert closed.closed_by is ClosedBy.WATERMARK
    assert offsets(closed) == [0, 1]
    assert not closed.late


def test_a_frame_within_the_lateness_joins_its_window() -> None:
    batcher = a_batcher(lateness=200)
    batcher.add(a_frame(0, captured_at=900), NOW)
    batcher.add(a_frame(1, captured_at=1_150), NOW)
    batcher.add(a_frame(2, captured_at=950), NOW)
    (closed,) = batcher.add(a_frame(3, captured_at=1_300), NOW)

    assert offsets(closed) == [0, 2]


def test_a_late_frame_gets_a_batch_of_its_own_that_says_so() -> None:
    batcher = a_batcher(lateness=0)
    batcher.add(a_frame(0, captured_at=500), NOW)
    (first,) = batcher.add(a_frame(1, captured_at=1_000), NOW)
    assert batcher.add(a_frame(2, captured_at=700), NOW) == []
    on_time, late = sorted(batcher.drain(), key=lambda batch: batch.late)

    assert (first.late, on_time.late, late.late) == (False, False, True)
    assert late.window == FIRST
    assert offsets(late) == [2]


def test_late_frames_wait_for_company_so_that_one_fast_clock_does_not_make_batches_of_one() -> None:
    batcher = a_batcher(lateness=0, linger=0.5, max_frames=3)
    batcher.add(a_frame(0, captured_at=50_000, camera="ahead"), NOW)
    assert batcher.add(a_frame(1, captured_at=100), NOW) == []
    assert batcher.add(a_frame(2, captured_at=200), NOW) == []
    (closed,) = batcher.add(a_frame(3, captured_at=300), NOW)

    assert (offsets(closed), closed.closed_by, closed.late) == ([1, 2, 3], ClosedBy.SIZE, True)


def test_a_batch_closes_by_size_and_the_window_goes_on() -> None:
    batcher = a_batcher(max_frames=2)
    assert batcher.add(a_frame(0, captured_at=0), NOW) == []
    (full,) = batcher.add(a_frame(1, captured_at=1), NOW)
    assert batcher.add(a_frame(2, captured_at=2), NOW) == []
    (rest,) = batcher.drain()

    assert (offsets(full), full.closed_by) == ([0, 1], ClosedBy.SIZE)
    assert (offsets(rest), rest.closed_by, rest.window) == ([2], ClosedBy.DRAIN, FIRST)


def test_linger_counts_from_the_first_frame_of_the_batch() -> None:
    batcher = a_batcher(linger=0.5)
    batcher.add(a_frame(0, captured_at=0), Monotonic(10.0))
    batcher.add(a_frame(1, captured_at=1), Monotonic(10.4))

    assert batcher.deadline() == Monotonic(10.5)
    assert batcher.due(Monotonic(10.49)) == []
    (closed,) = batcher.due(Monotonic(10.5))
    assert (offsets(closed), closed.closed_by) == ([0, 1], ClosedBy.LINGER)
    assert batcher.deadline() is None


def test_limits_hold_for_what_is_open_once_they_change() -> None:
    batcher = a_batcher(linger=0.5, max_frames=10)
    for offset in range(3):
        batcher.add(a_frame(offset, captured_at=offset), Monotonic(10.0))
    batcher.limits = BatchLimits(linger=0.1, frames=4)

    assert batcher.deadline() == Monotonic(10.1)
    (closed,) = batcher.add(a_frame(3, captured_at=3), Monotonic(10.05))
    assert (offsets(closed), closed.closed_by) == ([0, 1, 2, 3], ClosedBy.SIZE)


def test_all_that_is_open_goes_with_the_first_that_has_lingered() -> None:
    """Batches of two partitions and two windows share a call of the model."""
    batcher = a_batcher(linger=0.5)
    batcher.add(a_frame(0, captured_at=900), Monotonic(10.0))
    batcher.add(a_frame(1, captured_at=1_000), Monotonic(10.3))
    batcher.add(a_frame(0, partition=1, captured_at=950), Monotonic(10.4))

    assert batcher.due(Monotonic(10.49)) == []
    closed = batcher.due(Monotonic(10.5))
    assert [(each.partition.partition, offsets(each)) for each in closed] == [(0, [0]), (0, [1]), (1, [0])]
    assert {each.closed_by for each in closed} == {ClosedBy.LINGER}


def test_a_silent_camera_holds_nobody_back() -> None:
    batcher = a_batcher(linger=0.5)
    batcher.add(a_frame(0, captured_at=0, camera="talks once"), Monotonic(10.0))

    assert [offsets(batch) for batch in batcher.due(Monotonic(11.0))] == [[0]]


def test_partitions_have_watermarks_of_their_own() -> None:
    batcher = a_batcher(lateness=0)
    batcher.add(a_frame(0, partition=0, captured_at=0), NOW)

    assert batcher.add(a_frame(0, partition=1, captured_at=60_000), NOW) == []
    assert {batch.partition.partition for batch in batcher.drain()} == {0, 1}


def test_a_forgotten_partition_is_gone_and_the_others_stay() -> None:
    batcher = a_batcher()
    batcher.add(a_frame(0, partition=0), NOW)
    batcher.add(a_frame(0, partition=1), NOW)
    batcher.forget(FRAMES)
    batcher.forget(TopicPartition("frames", 7))

    assert [batch.partition.partition for batch in batcher.drain()] == [1]


def test_draining_can_say_that_memory_was_short() -> None:
    batcher = a_batcher()
    batcher.add(a_frame(0), NOW)

    assert [batch.closed_by for batch in batcher.drain(ClosedBy.SIZE)] == [ClosedBy.SIZE]


arrivals = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 6_000), st.floats(0, 0.4)), max_size=80
)  # partition, capture time, seconds since the arrival before


@given(arrivals, st.integers(0, 1_500), st.integers(1, 7))
def test_every_frame_is_in_exactly_one_batch_of_its_own_window(
    frames: list[tuple[int, int, float]], lateness: int, max_frames: int
) -> None:
    batcher = a_batcher(lateness=lateness, linger=0.5, max_frames=max_frames)
    batches, now, largest = list[FrameBatch](), 0.0, dict[int, int]()
    late = set()
    for offset, (partition, captured_at, pause) in enumerate(frames):
        now += pause
        batches += batcher.due(Monotonic(now))
        window = TumblingWindows(1_000).of(EventMillis(captured_at))
        if partition in largest and largest[partition] - lateness >= window.end:
            late.add(offset)
        largest[partition] = max(captured_at, largest.get(partition, 0))
        batches += batcher.add(a_frame(offset, partition=partition, captured_at=captured_at), Monotonic(now))
        deadline = batcher.deadline()
        assert deadline is None or deadline > now - 1e-9
    batches += batcher.drain()

    assert Counter(offset for batch in batches for offset in offsets(batch)) == Counter(range(len(frames)))
    for batch in batches:
        assert 1 <= len(batch.frames) <= max_frames
        assert offsets(batch) == sorted(offsets(batch))
        for frame in batch.frames:
            assert frame.captured_at in batch.window
            assert frame.position.partition == batch.partition
            assert batch.late == (frame.position.offset in late)
