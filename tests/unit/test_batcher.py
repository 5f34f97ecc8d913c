"""The batcher, step by step. Time runs to the right; windows are 1000 ms, `x` is a frame.

window   |0        1000|1000      2000|
frames    x    x      x  x
                          ^ with lateness 200 the first window closes only at capture time 1200
"""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import a_sample
from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows, Window
from worker.stream.batcher import WindowBatcher

NOW = Monotonic(100.0)
FIRST = Window(EventMillis(0), EventMillis(1_000))
LIMITS = BatchLimits(0.5, 10)


class Batcher:
    """A batcher with limits that stay, fed with samples of one frame."""

    def __init__(self, *, lateness: int = 200, limits: BatchLimits = LIMITS, remembered: int = 100) -> None:
        self.batcher = WindowBatcher(TumblingWindows(1_000), lateness=lateness, remembered=remembered)
        self.limits = limits

    def add(self, offset: int, captured_at: int, camera: str = "cam-1", now: float = NOW) -> list[Batch]:
        sample = a_sample(offset, captured_at=captured_at, camera=camera)
        return self.batcher.add(sample, Monotonic(now), self.limits)

    def drain(self, closed_by: ClosedBy = ClosedBy.DRAIN) -> list[Batch]:
        return self.batcher.drain(closed_by)


def offsets(batch: Batch) -> list[int]:
    return [sample.newest.frame.position.offset for sample in batch.samples]


def test_a_window_closes_when_the_watermark_passes_its_end() -> None:
    batcher = Batcher(lateness=200)

    assert batcher.add(0, 100) == []
    assert batcher.add(1, 999) == []
    assert batcher.add(2, 1_199) == []
    (closed,) = batcher.add(3, 1_200)

    assert closed.window == FIRST
    assert closed.closed_by is ClosedBy.WATERMARK
    assert offsets(closed) == [0, 1]
    assert not closed.late


def test_a_frame_within_the_lateness_joins_its_window() -> None:
    batcher = Batcher(lateness=200)
    batcher.add(0, 900)
    batcher.add(1, 1_150)
    batcher.add(2, 950)
    (closed,) = batcher.add(3, 1_300)

    assert offsets(closed) == [0, 2]


def test_a_late_frame_gets_a_batch_of_its_own_that_says_so() -> None:
    batcher = Batcher(lateness=0)
    batcher.add(0, 500)
    (first,) = batcher.add(1, 1_000)
    assert batcher.add(2, 700) == []
    on_time, late = sorted(batcher.drain(), key=lambda batch: batch.late)

    assert (first.late, on_time.late, late.late) == (False, False, True)
    assert late.window == FIRST
    assert offsets(late) == [2]


def test_a_clock_that_runs_fast_makes_no_other_camera_late() -> None:
    batcher = Batcher(lateness=0)
    batcher.add(0, 100, "right")
    batcher.add(1, 50_000, "fast")
    batcher.add(2, 200, "right")
    (closed,) = batcher.add(3, 1_000, "right")

    assert (offsets(closed), closed.late) == ([0, 2], False)
    assert not any(batch.late for batch in batcher.drain())


def test_a_window_waits_for_every_camera_that_has_a_frame_in_it() -> None:
    batcher = Batcher(lateness=0)
    batcher.add(0, 100, "a")
    batcher.add(1, 200, "b")
    assert batcher.add(2, 1_100, "a") == []
    batcher.add(3, 300, "b")
    (closed,) = batcher.add(4, 1_200, "b")

    assert (offsets(closed), closed.window, closed.closed_by) == ([0, 1, 3], FIRST, ClosedBy.WATERMARK)


def test_a_late_frame_of_one_camera_is_apart_from_the_open_window_of_another() -> None:
    batcher = Batcher(lateness=0)
    batcher.add(0, 100, "slow")
    batcher.add(1, 1_000, "fast")
    batcher.add(2, 200, "fast")

    assert {(tuple(offsets(batch)), batch.late) for batch in batcher.drain()} == {
        ((0,), False),
        ((1,), False),
        ((2,), True),
    }


def test_the_camera_that_was_silent_longest_is_forgotten_first() -> None:
    batcher = Batcher(lateness=0, remembered=2)
    for offset, camera in enumerate("abac"):
        batcher.add(offset, 5_000, camera)
    batcher.drain()
    batcher.add(4, 100, "a")
    batcher.add(5, 100, "b")

    assert {(tuple(offsets(batch)), batch.late) for batch in batcher.drain()} == {((4,), True), ((5,), False)}
    assert len(batcher.batcher._watermarks) == 2


def test_late_frames_share_batches() -> None:
    batcher = Batcher(lateness=0, limits=BatchLimits(0.5, 3))
    batcher.add(0, 50_000)
    assert batcher.add(1, 100) == []
    assert batcher.add(2, 200) == []
    (closed,) = batcher.add(3, 300)

    assert (offsets(closed), closed.closed_by, closed.late) == ([1, 2, 3], ClosedBy.SIZE, True)


def test_a_batch_closes_by_size_and_the_window_goes_on() -> None:
    batcher = Batcher(limits=BatchLimits(0.5, 2))
    assert batcher.add(0, 0) == []
    (full,) = batcher.add(1, 1)
    assert batcher.add(2, 2) == []
    (rest,) = batcher.drain()

    assert (offsets(full), full.closed_by) == ([0, 1], ClosedBy.SIZE)
    assert (offsets(rest), rest.closed_by, rest.window) == ([2], ClosedBy.DRAIN, FIRST)


def test_it_tells_when_the_oldest_open_batch_was_opened() -> None:
    batcher = Batcher()
    assert batcher.batcher.oldest() is None
    batcher.add(0, 900, now=10.0)
    batcher.add(1, 901, now=10.2)
    batcher.add(2, 1_001, now=10.4)

    assert batcher.batcher.oldest() == 10.0
    (closed,) = batcher.add(3, 1_300, now=10.6)
    assert offsets(closed) == [0, 1]
    assert batcher.batcher.oldest() == 10.4
    batcher.drain()
    assert batcher.batcher.oldest() is None


def test_limits_hold_for_open_batches_once_they_change() -> None:
    batcher = Batcher()
    for offset in range(3):
        batcher.add(offset, offset)
    batcher.limits = BatchLimits(linger=0.1, frames=4)

    (closed,) = batcher.add(3, 3)
    assert (offsets(closed), closed.closed_by) == ([0, 1, 2, 3], ClosedBy.SIZE)


def test_draining_says_why() -> None:
    batcher = Batcher()
    batcher.add(0, 0)

    assert [batch.closed_by for batch in batcher.drain(ClosedBy.SIZE)] == [ClosedBy.SIZE]
    assert batcher.drain() == []


arrivals = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6_000)), max_size=80)


@given(arrivals, st.integers(0, 1_500), st.integers(1, 7))
def test_every_frame_is_in_exactly_one_batch_of_its_own_window(
    frames: list[tuple[str, int]], lateness: int, max_frames: int
) -> None:
    batcher = Batcher(lateness=lateness, limits=BatchLimits(0.5, max_frames))
    batches, late = list[Batch](), set[int]()
    for offset, (camera, captured_at) in enumerate(frames):
        window = TumblingWindows(1_000).of(EventMillis(captured_at))
        if max((at for other, at in frames[:offset] if other == camera), default=0) - lateness >= window.end:
            late.add(offset)
        batches += batcher.add(offset, captured_at, camera)
    batches += batcher.drain()

    assert Counter(offset for batch in batches for offset in offsets(batch)) == Counter(range(len(frames)))
    for batch in batches:
        assert 1 <= len(batch.samples) <= max_frames
        assert offsets(batch) == sorted(offsets(batch))
        for sample in batch.samples:
            assert sample.newest.frame.captured_at in batch.window
            assert batch.late == (sample.newest.frame.position.offset in late)
