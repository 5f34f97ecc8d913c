import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.cost import MEMORY, LinearCost

pieces = st.lists(st.tuples(st.integers(1, 256), st.floats(0, 1_000)), min_size=1, max_size=60)


def learned(base: float, each: float, sizes: list[int]) -> LinearCost:
    cost = LinearCost()
    for frames in sizes:
        cost.note(frames, base + each * frames)
    return cost


def test_base_and_frame_are_told_apart() -> None:
    cost = learned(0.004, 0.003, [1, 5, 9, 16, 2, 30] * 20)

    assert (cost.base, cost.each) == pytest.approx((0.004, 0.003), rel=0.02)
    assert cost.of(10) == pytest.approx(0.034, rel=0.02)


def test_batches_of_one_size_count_as_all_for_their_frames() -> None:
    """So batches are not taken to save what nobody has seen them save; the sum is right all the same."""
    cost = learned(0.004, 0.003, [4] * 50)

    assert (cost.base, cost.each) == pytest.approx((0.0, 0.004))


def test_what_has_changed_is_learned_anew() -> None:
    cost = learned(0.004, 0.003, [1, 8, 16] * 100)
    for frames in [1, 8, 16] * MEMORY:
        cost.note(frames, 0.001 + 0.006 * frames)

    assert cost.of(8) == pytest.approx(0.049, rel=0.05)


def test_a_stall_says_little_of_the_next_call() -> None:
    cost = learned(0.004, 0.003, [1, 8, 16] * 100)
    cost.note(8, 600.0)

    assert cost.of(8) < 2 * 0.028


def test_what_fits_into_a_time() -> None:
    cost = learned(0.004, 0.003, [1, 5, 9, 16, 2, 30] * 20)

    assert cost.within(0.034) == pytest.approx(10, rel=0.02)
    assert cost.within(0.001) == 1.0
    assert LinearCost().within(1.0) == math.inf


def test_the_fewest_that_keep_up() -> None:
    cost = learned(0.004, 0.003, [1, 5, 9, 16, 2, 30] * 20)

    enough = cost.sustains(100, utilisation=0.7, overhead=0.01)
    assert enough == pytest.approx(100 * 0.004 / (0.7 - 0.3), rel=0.02)
    assert 100 / enough * cost.of(enough) == pytest.approx(0.7)


def test_beyond_what_can_be_kept_up_with_only_the_overhead_counts() -> None:
    cost = learned(0.004, 0.003, [1, 5, 9, 16, 2, 30] * 20)

    worth = cost.sustains(1_000, utilisation=0.7, overhead=0.2)
    assert cost.base / cost.of(worth) == pytest.approx(0.2)


def test_nothing_known_needs_nothing() -> None:
    assert LinearCost().sustains(100, utilisation=0.7, overhead=0.1) == 0.0


@given(pieces)
def test_a_line_never_falls_and_never_lies_below_zero(seen: list[tuple[int, float]]) -> None:
    cost = LinearCost()
    for frames, seconds in seen:
        cost.note(frames, seconds)

    assert cost.base >= 0
    assert cost.each >= 0
    assert cost.of(1) <= max(seconds for _, seconds in seen) * (1 + 1e-9)
    assert cost.within(1.0) >= 1
    assert cost.sustains(100, utilisation=0.7, overhead=0.1) >= 0
