"""Intervals of shares, compared with SciPy's, and those over cameras whose frames are alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from worker.domain.intervals import Interval, grouped, share_interval, wilson


@given(st.integers(0, 50), st.integers(0, 50))
def test_wilson_is_that_of_scipy(right: int, wrong: int) -> None:
    found = wilson(right, right + wrong)
    if right + wrong == 0:
        assert found == Interval(0.0, 1.0)
    else:
        theirs = binomtest(right, right + wrong).proportion_ci(method="wilson")
        assert found == pytest.approx((theirs.low, theirs.high))


def test_an_interval_over_cameras_is_wider_where_cameras_differ() -> None:
    right = [True] * 100 + [False] * 100 + [number % 2 == 0 for number in range(50)]
    cameras = [f"camera-{number // 50}" for number in range(250)]
    over_cameras, over_frames = share_interval(right, cameras), wilson(125, 250)
    assert over_cameras is not None
    assert over_cameras.low < over_frames.low < over_frames.high < over_cameras.high
    assert over_cameras == grouped([50, 50, 0, 0, 25], [50] * 5)


def test_few_cameras_say_nothing_of_others() -> None:
    assert share_interval([True] * 8, ["one"] * 4 + ["two"] * 4) is None


def test_pictures_that_are_each_on_their_own_are_independent() -> None:
    assert share_interval([number > 2 for number in range(9)], [str(number) for number in range(9)]) == wilson(6, 9)
