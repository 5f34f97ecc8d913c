"""A batch cut into parts: all of it, in order, full ones first."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.parts import cut


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
