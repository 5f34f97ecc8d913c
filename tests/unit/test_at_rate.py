"""Frames of each camera at a reduced rate, for models that see one frame."""

from tests.support.frames import a_frame
from worker.domain.samples import Sample
from worker.domain.times import Monotonic
from worker.sampling.at_rate import CAMERAS_REMEMBERED, AtRate


def taken(sampler: AtRate, *times: int, camera: str = "cam-1") -> list[int]:
    """Return the capture times of the frames that become samples."""
    frames = [a_frame(number, captured_at=at, camera=camera) for number, at in enumerate(times)]
    return [
        frame.frame.captured_at
        for frame in frames
        for each in sampler.take(frame, Monotonic(0.0))
        if isinstance(each, Sample)
    ]


def test_the_first_frame_of_each_slot_is_taken() -> None:
    assert taken(AtRate(5.0), *range(0, 1000, 40)) == [0, 200, 400, 600, 800]
    assert taken(AtRate(7.5), *range(0, 1000, 100)) == [0, 200, 300, 400, 600, 700, 800]
    assert taken(AtRate(0.5), 0, 1_999, 2_000, 6_500) == [0, 2_000, 6_500]


def test_cameras_have_slots_of_their_own() -> None:
    sampler = AtRate(1.0)
    assert taken(sampler, 0, 100) == [0]
    assert taken(sampler, 0, 100, camera="cam-2") == [0]


def test_a_frame_behind_a_later_slot_is_left_out() -> None:
    assert taken(AtRate(1.0), 5_000, 4_000, 5_500, 6_000) == [5_000, 6_000]


def test_only_so_many_cameras_are_remembered() -> None:
    sampler = AtRate(1.0)
    for number in range(CAMERAS_REMEMBERED + 1):
        taken(sampler, 0, camera=f"cam-{number}")
    assert taken(sampler, 100, camera="cam-1") == []
    assert taken(sampler, 100, camera="cam-0") == [100]
