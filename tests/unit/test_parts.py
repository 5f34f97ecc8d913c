"""A batch cut into parts: all of it, in order, full ones first."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.parts import cut, cut_to_sizes, sizes


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [(0, []), (1, [1]), (2, [1, 1]), (7, [3, 4]), (8, [4, 4]), (9, [4, 4, 1]), (13, [4, 4, 2, 3]), (16, [4, 4, 4, 4])],
)
def test_rounds_of_full_parts_and_a_last_one_of_even_ones(frames: int, sizes: Sequence[int]) -> None:
    assert [part.stop - part.start for part in cut(frames, threads=2, largest=4)] == sizes


def test_without_a_limit_a_batch_stays_whole() -> None:
    assert cut(100, threads=1, largest=None) == [slice(0, 100)]


@given(frames=st.integers(0, 500), threads=st.integers(1, 9), largest=st.integers(1, 40))
def test_no_frame_is_left_out_and_no_part_is_too_large(frames: int, threads: int, largest: int) -> None:
    parts = cut(frames, threads=threads, largest=largest)
    sizes = [part.stop - part.start for part in parts]

    assert [number for part in parts for number in range(part.start, part.stop)] == list(range(frames))
    assert all(1 <= size <= largest for size in sizes)
    full = frames // (threads * largest) * threads
    rest = sizes[full:]
    assert sizes[:full] == [largest] * full
    assert len(rest) == min(threads, sum(rest))
    assert max(rest, default=0) - min(rest, default=0) <= 1


@pytest.mark.parametrize(
    ("largest", "found"),
    [
        (1, [1]),
        (3, [3, 2, 1]),
        (8, [8, 7, 6, 5, 4, 3, 2, 1]),
        (9, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (16, [16, 8, 7, 6, 5, 4, 3, 2, 1]),
        (40, [40, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1]),
    ],
)
def test_an_engine_sees_few_sizes_the_largest_first(largest: int, found: Sequence[int]) -> None:
    assert sizes(largest) == found


@given(frames=st.integers(0, 500), largest=st.integers(1, 200))
def test_calls_have_the_sizes_that_an_engine_sees_and_leave_no_frame_out(frames: int, largest: int) -> None:
    calls = cut_to_sizes(frames, largest=largest)

    assert [number for call in calls for number in range(call.start, call.stop)] == list(range(frames))
    assert {call.stop - call.start for call in calls} <= set(sizes(largest))
    assert len(calls) <= frames // largest + len(sizes(largest))
