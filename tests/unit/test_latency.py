"""Limits out of facts alone; how they do in a worker is in tests/flow/test_latency.py."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.batches import BatchLimits
from worker.domain.latency import FEWEST, TICK, Bounds, LatencyControl
from worker.domain.times import Monotonic

SIZES = (1, 5, 9, 16, 2, 30)


def a_control(target: float | None = 0.2, *, max_frames: int = 32, max_poll_interval: float = 300.0) -> LatencyControl:
    return LatencyControl(Bounds(target, 0.1, max_frames, max_poll_interval))


def after(
    control: LatencyControl,
    *,
    rate: float = 100.0,
    call: float = 0.004,
    frame: float = 0.003,
    other: float = 0.01,
    publication: float = 0.002,
    ticks: int = 80,
    begin: float = 0.0,
) -> list[BatchLimits]:
    """Return the limits of each tick, while nothing changes."""
    found = []
    for number in range(ticks):
        control.arrived(round(rate * TICK))
        for size in SIZES:
            control.called(size, call + frame * size)
            control.published([other] * size, publication)
        found.append(control.limits(Monotonic(begin + number * TICK)))
    return found


def test_without_a_target_the_linger_stays() -> None:
    assert set(after(a_control(None))) == {BatchLimits(0.1, 32)}


@pytest.mark.parametrize("target", [None, 0.2])
def test_a_call_never_takes_so_long_that_the_group_gives_up(target: float | None) -> None:
    (*_, last) = after(a_control(target, max_poll_interval=60.0), call=0.1, frame=1.0, rate=10)

    assert last.frames == 4  # 4.1 s: twelve such calls fit


def test_before_anything_is_known_frames_wait_little_and_the_setting_bounds_the_batch() -> None:
    control = a_control()
    control.arrived(10)
    limits = [control.limits(Monotonic(at)) for at in (0.0, 1.0, 2.0)]

    assert {each.frames for each in limits} == {32}
    assert [each.linger for each in limits] == pytest.approx([0.01] * 3)


def test_limits_change_once_a_tick_and_are_new_then() -> None:
    control = a_control()
    first = control.limits(Monotonic(0.0))

    assert control.limits(Monotonic(TICK - 0.01)) is first
    assert control.limits(Monotonic(TICK)) is not first


def test_where_batches_save_nothing_nobody_waits() -> None:
    assert after(a_control(), rate=20, call=0.0)[-1].linger < 0.002


def test_the_linger_gathers_what_keeps_the_model_within_its_share_of_the_time() -> None:
    """At 150 frames a second, 4 ms a call and 3 ms a frame: batches of 4 keep it busy for 0.6 of the time."""
    last = after(a_control(), rate=150)[-1]

    assert 1 + 150 * last.linger == pytest.approx(150 * 0.004 / (0.6 - 150 * 0.003), rel=0.25)


def test_frames_wait_for_each_other_where_publishing_is_what_costs() -> None:
    control = a_control()
    for _ in range(40):
        control.published([0.01] * 2, 0.012)
        control.published([0.01] * 8, 0.012)

    assert after(control, rate=100, call=0.0, publication=0.012)[-1].linger == pytest.approx(0.01, rel=0.25)


def test_what_takes_the_target_up_leaves_a_share_of_it_to_wait() -> None:
    """200 frames a second want 55 ms of linger, and 100 ms have room for 39; of 80 with 75 gone, a quarter stays."""
    assert after(a_control(0.1), rate=200, other=0.01)[-1].linger == pytest.approx(0.039, rel=0.2)
    assert after(a_control(0.08), rate=200, other=0.075)[-1].linger == pytest.approx(0.02, rel=0.2)


def test_where_the_rate_needs_no_wait_nothing_makes_frames_wait() -> None:
    assert after(a_control(), rate=20, call=0.0, publication=0.0, other=0.17)[-1].linger < 0.002


def test_a_silence_is_no_rate() -> None:
    control = a_control()
    after(control, rate=200, ticks=40)
    control.limits(Monotonic(3_600.0))

    assert control.rate < 1


def test_a_step_of_the_limits_is_bounded() -> None:
    control = a_control(0.5)
    limits = after(control, rate=20) + after(control, rate=220, begin=20.0)

    for before, now in pairwise(limits):
        assert now.linger <= max(1.5 * before.linger, before.linger + 0.002) + 1e-9
        assert now.frames <= max(1.5 * before.frames, before.frames + 1) + 1


facts = st.one_of(
    st.tuples(st.just("arrived"), st.integers(0, 500)),
    st.tuples(st.just("called"), st.integers(0, 64), st.floats(0, 1_000)),
    st.tuples(st.just("published"), st.lists(st.floats(-1e7, 1e7), max_size=64), st.floats(0, 100)),
    st.tuples(st.just("waits"), st.floats(0, 1e5)),
)


@given(st.lists(facts, max_size=120), st.floats(0.01, 60), st.integers(1, 256), st.floats(1, 1e4))
def test_whatever_happens_the_limits_are_within_bounds(
    told: Sequence[tuple[str, *tuple[object, ...]]], target: float, max_frames: int, max_poll_interval: float
) -> None:
    control, now = a_control(target, max_frames=max_frames, max_poll_interval=max_poll_interval), 0.0
    control.published([target / 10] * FEWEST, 0.001)
    for name, *what in told:
        if name == "waits":
            now += float(str(what[0]))
        else:
            getattr(control, name)(*what)
        limits = control.limits(Monotonic(now))
        assert 0 <= limits.linger <= target
        assert 1 <= limits.frames <= max_frames
