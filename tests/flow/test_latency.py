"""The whole worker under a latency target, in virtual time: cameras and costs in, delays and limits out."""

import math

import pytest

from tests.support.virtual import Machine, VirtualWorker, irregular, regular

pytestmark = pytest.mark.no_cover  # other tests cover these lines, and counting doubles the time
MACHINE = Machine()
CAPACITY = MACHINE.capacity(32)
SETTLED = 4.0
TARGETS = (0.1, 0.2, 0.5)
LOADS = (0.2, 0.5, 0.8)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("target", TARGETS)
def test_99_of_100_frames_have_their_prediction_in_time_and_the_limits_settle(target: float, load: float) -> None:
    worker = VirtualWorker(regular(load * CAPACITY, 0, 14), target).run()
    late = [limits for at, limits in worker.limits if at > 8.0] or [worker.limits[-1][1]]
    lingers = [each.linger for each in late]

    assert worker.p99(SETTLED) <= target
    assert worker.control.rate == pytest.approx(load * CAPACITY, rel=0.15)
    assert len(late) <= 6, "in 24 ticks"
    assert max(lingers) - min(lingers) <= 0.01


@pytest.mark.parametrize(("target", "load"), [(0.1, 0.5), (0.2, 0.8), (0.5, 0.8)])
def test_frames_that_come_in_clusters_have_theirs_too(target: float, load: float) -> None:
    worker = VirtualWorker(irregular(load * CAPACITY, 0, 12), target).run()

    assert worker.p99(SETTLED) <= target


@pytest.mark.parametrize("target", [0.1, 0.5])
def test_a_burst_of_a_whole_poll_is_over_in_time_to_come(target: float) -> None:
    taken = sorted([*regular(0.3 * CAPACITY, 0, 12), *[6.0] * 24])
    worker = VirtualWorker(taken, target).run()

    assert worker.p99(SETTLED, 6.0) <= target
    assert worker.p99(6.5) <= target


def test_a_target_is_nothing_to_be_used_up() -> None:
    """At a fifth of the load there is no work to be saved, so 500 ms are no reason to wait longer than with 100."""
    tight, wide = (VirtualWorker(regular(0.2 * CAPACITY, 0, 12), target).run() for target in (0.1, 0.5))

    assert wide.p99(SETTLED) < tight.p99(SETTLED) + 0.01
    assert wide.limits[-1][1].linger < 0.005


def test_the_fixed_linger_would_miss_the_target() -> None:
    """The same frames, without a target: what the tests above would not find out without a reason to fail."""
    assert VirtualWorker(regular(0.5 * CAPACITY, 0, 8), None).run().p99(SETTLED) > 0.1


@pytest.mark.parametrize("target", [0.1, 0.5])
def test_a_step_of_the_rate_is_followed_both_ways(target: float) -> None:
    low, high = 0.2 * CAPACITY, 0.8 * CAPACITY
    taken = regular(low, 0, 8) + regular(high, 8, 16) + regular(low, 16, 24)
    worker = VirtualWorker(sorted(taken), target).run()

    assert max(worker.p99(at, at + 2.0) for at in range(4, 24, 2)) <= target
    assert worker.limits[-1][1].linger < 0.005


@pytest.mark.parametrize("target", [0.1, 0.5])
def test_after_an_overload_the_target_holds_again(target: float) -> None:
    normal = 0.5 * CAPACITY
    taken = regular(normal, 0, 5) + regular(1.5 * CAPACITY, 5, 7) + regular(normal, 7, 16)
    worker = VirtualWorker(sorted(taken), target).run()

    assert worker.p99(5.0, 7.0) > target, "it was one"
    assert worker.p99(11.0) <= target


@pytest.mark.parametrize(("target", "silence"), [(0.1, 60.0), (0.2, 3.0), (0.5, 60.0)])
def test_after_a_silence_the_target_holds_from_the_first_frame(target: float, silence: float) -> None:
    rate, again = 0.5 * CAPACITY, 6 + silence
    worker = VirtualWorker(regular(rate, 0, 6) + regular(rate, again, again + 4), target).run()

    assert worker.p99(again, again + 1) <= target
    assert worker.p99(again) <= target


@pytest.mark.parametrize("load", [0.8, 0.95])
def test_calls_grow_with_what_waits_and_no_queue_does(load: float) -> None:
    """A target so short that the rate cannot be met within it is missed by what larger calls take, and no more."""
    machine = Machine(call=0.02, frame=0.005)
    worker = VirtualWorker(regular(load * machine.capacity(32), 0, 12), 0.1, machine).run()

    assert worker.p99(SETTLED) <= 2 * (machine.call + 32 * machine.frame)


def test_calls_grow_where_the_model_is_dear_to_call() -> None:
    """A call alone costs what four frames do: in small ones the rate could not be met."""
    machine = Machine(call=0.02, frame=0.005)
    worker = VirtualWorker(regular(0.7 * machine.capacity(32), 0, 14), 0.5, machine).run()
    fewest = math.ceil(worker.control.rate * machine.call / (1 - worker.control.rate * machine.frame))

    assert worker.p99(6.0) <= 0.5
    assert worker.frames_a_call(6.0) >= fewest


def test_what_no_measurement_shows_is_found_by_falling_behind() -> None:
    """In calls of seven 160 frames a second would be the most, and the queue would never end."""
    machine = Machine(gap=0.02)
    assert machine.capacity(7) < 160
    worker = VirtualWorker(regular(200, 0, 14), 0.1, machine).run()

    assert worker.p99(10.0) < 0.5
    assert worker.frames_a_call(10.0) > 7


def test_what_becomes_slower_is_noticed() -> None:
    """From one machine to another in the middle of it: as when a neighbour takes a core."""
    worker = VirtualWorker(regular(0.4 * CAPACITY, 0, 14), 0.2, slower_from=5.0).run()

    assert worker.control.model.of(8) == pytest.approx(2 * (MACHINE.call + 8 * MACHINE.frame), rel=0.2)
    assert worker.p99(9.0) <= 0.2
