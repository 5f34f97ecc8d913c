"""Frames of a camera in the order of their capture. Frames are `(offset, capture time)`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import a_frame
from worker.domain.samples import DUPLICATE, LATE, Skipped
from worker.sampling.order import Arrival, CaptureOrder


def add(order: CaptureOrder, offset: int, at: int) -> list[int] | tuple[str, int | None]:
    """Return the offsets that are released, or why the frame is skipped and what it needs."""
    found = order.add(a_frame(offset, captured_at=at))
    return (found.reason, found.needs) if isinstance(found, Skipped) else offsets(found)


def offsets(released: list[Arrival]) -> list[int]:
    return [each.frame.frame.position.offset for each in released]


def test_a_frame_waits_until_one_was_captured_a_lateness_later() -> None:
    order = CaptureOrder(lateness=100)
    assert add(order, 0, 1_000) == []
    assert add(order, 1, 1_099) == []
    assert add(order, 2, 1_100) == [0]
    assert add(order, 3, 1_020) == []
    assert add(order, 4, 1_200) == [3, 1, 2]


def test_without_lateness_no_frame_waits() -> None:
    order = CaptureOrder(lateness=0)
    assert [add(order, number, 1_000 + number) for number in range(3)] == [[0], [1], [2]]


def test_a_frame_that_comes_too_late_needs_the_one_that_makes_it_late() -> None:
    order = CaptureOrder(lateness=100)
    add(order, 5, 1_000)
    add(order, 6, 1_300)
    assert add(order, 7, 1_200) == (LATE, 6)
    assert add(order, 8, 1_201) == []


@pytest.mark.parametrize("lateness", [0, 100])
def test_a_duplicate_needs_the_frame_that_it_repeats(lateness: int) -> None:
    order = CaptureOrder(lateness=lateness)
    add(order, 5, 1_000)
    assert add(order, 6, 1_000) == (DUPLICATE, 5)


def test_a_duplicate_of_a_frame_that_waits_behind_the_newest() -> None:
    order = CaptureOrder(lateness=100)
    add(order, 5, 1_000)
    add(order, 6, 1_050)
    assert add(order, 7, 1_000) == (DUPLICATE, 5)


def test_a_frame_needs_that_which_was_the_newest_when_it_came() -> None:
    order = CaptureOrder(lateness=100)
    for offset, at in ((5, 1_000), (6, 1_050), (7, 1_020)):
        add(order, offset, at)
    assert {each.frame.frame.position.offset: each.witness for each in order.release_all()} == {5: 5, 6: 5, 7: 6}


def test_after_everything_was_released_earlier_frames_are_late_and_need_nothing() -> None:
    order = CaptureOrder(lateness=100)
    add(order, 5, 1_000)
    assert offsets(order.release_all()) == [5]
    assert order.newest is None
    assert add(order, 6, 1_000) == (LATE, None)
    assert add(order, 7, 1_001) == []


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(0, 100))
def test_every_frame_is_released_in_order_or_skipped(times: list[int], lateness: int) -> None:
    order, released, skipped = CaptureOrder(lateness), list[int](), 0
    for offset, at in enumerate(times):
        found = add(order, offset, at)
        if isinstance(found, tuple):
            skipped += 1
        else:
            released += found
    released += offsets(order.release_all())

    assert [times[each] for each in released] == sorted({times[each] for each in released})
    assert len(released) + skipped == len(times)
