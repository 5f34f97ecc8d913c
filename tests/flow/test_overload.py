"""Twice as many frames as the worker can take, in simulated time: what is left out, and how old results are."""

from collections.abc import Callable

import pytest

from tests.support.virtual import Machine, VirtualWorker, regular
from worker.ports import LoadPolicy
from worker.sampling.load import NOT_NTH, REPLACED, TOO_OLD, EveryNth, LatestPerCamera, SkipOlderThan

MACHINE = Machine(hiccups=0.0)
CAPACITY = MACHINE.capacity(32)
CAMERAS = 16
MAX_AGE = 0.5


def overloaded(
    make_policy: Callable[[], LoadPolicy], *, load: float = 2.0, max_age: float | None = None
) -> VirtualWorker:
    """Run a worker for 30 s on this many times the frames that it can take."""
    taken = regular(load * CAPACITY, 0.0, 30.0)
    return VirtualWorker(taken, None, MACHINE, cameras=CAMERAS, make_policy=make_policy, max_age=max_age).run()


def skip_older() -> LoadPolicy:
    return SkipOlderThan(MAX_AGE)


def every_third() -> LoadPolicy:
    return EveryNth(3)


@pytest.mark.parametrize(
    ("policy", "reason", "max_age"),
    [(skip_older, TOO_OLD, MAX_AGE), (LatestPerCamera, REPLACED, None), (every_third, NOT_NTH, None)],
)
def test_every_frame_is_predicted_or_skipped_and_no_camera_is_left_behind(
    policy: Callable[[], LoadPolicy], reason: str, max_age: float | None
) -> None:
    run = overloaded(policy, max_age=max_age)
    predicted = {camera: len(ages) for camera, ages in run.broker.ages_by_camera.items()}
    skipped = {camera: count for (camera, why), count in run.broker.skipped.items() if why == reason}

    assert sum(predicted.values()) + run.broker.skipped.total() == len(run.taken)
    assert sum(skipped.values()) == run.broker.skipped.total()
    assert len(predicted) == CAMERAS
    assert min(predicted.values()) > 0.6 * max(predicted.values())
    assert sum(predicted.values()) > 0.75 * CAPACITY * 30  # the model is kept busy


def test_no_prediction_is_older_than_the_limit() -> None:
    run = overloaded(skip_older, max_age=MAX_AGE)
    for camera, ages in run.broker.ages_by_camera.items():
        # The last frames are published together when the worker has drained.
        assert max(age for captured, age in ages if captured < 29.0) <= MAX_AGE, camera


@pytest.mark.parametrize("policy", [LatestPerCamera, every_third])
def test_without_an_age_limit_results_do_not_grow_older_either(policy: Callable[[], LoadPolicy]) -> None:
    run = overloaded(policy)
    assert run.p99(20.0) < 1.5 * run.p99(5.0, 15.0) < 2.0


@pytest.mark.parametrize(("policy", "max_age"), [(skip_older, MAX_AGE), (LatestPerCamera, None), (every_third, None)])
def test_a_worker_that_keeps_up_leaves_nothing_out(policy: Callable[[], LoadPolicy], max_age: float | None) -> None:
    run = overloaded(policy, load=0.5, max_age=max_age)
    assert run.broker.skipped.total() == 0
    assert len(run.broker.ages) == len(run.taken)
