from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.local.scenes import Scene

LENGTH = 40
SMALL = (160, 120)


def a_photograph(width: int = 500, height: int = 400) -> NDArray[np.uint8]:
    """Smooth coloured noise: detail at every place, so that every movement shows."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def decoded(jpeg: bytes) -> NDArray[np.float64]:
    """RGB, (height, width, 3)."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.float64)


def test_a_seed_is_a_camera() -> None:
    first, again, other = (Scene(a_photograph(), seed, SMALL, length=LENGTH) for seed in (1, 1, 2))
    assert list(first.frames()) == list(first.frames()) == list(again.frames())
    assert not set(first.frames()) & set(other.frames())


@pytest.mark.parametrize("size", [(640, 480), (48, 96)])
@pytest.mark.parametrize("photograph", [(500, 400), (200, 900)])
def test_frames_are_jpeg_of_the_size_asked_for(size: tuple[int, int], photograph: tuple[int, int]) -> None:
    frames = list(Scene(a_photograph(*photograph), 3, size, length=5).frames())
    assert len(frames) == 5
    assert {decoded(frame).shape for frame in frames} == {(size[1], size[0], 3)}
    assert all(frame.startswith(b"\xff\xd8\xff") for frame in frames)


def test_one_frame_is_a_whole_round() -> None:
    assert len(list(Scene(a_photograph(), 3, length=1).frames())) == 1


def test_the_camera_moves_smoothly_and_ends_where_it_began() -> None:
    frames = [decoded(frame) for frame in Scene(a_photograph(), 5, SMALL, length=200).frames()]
    steps = [float(np.abs(after - before).mean()) for before, after in pairwise([*frames, frames[0]])]
    apart = float(np.abs(frames[0] - frames[100]).mean())
    assert min(steps) > 0
    assert max(steps) < apart / 2
    assert steps[-1] < max(steps[:-1])


def test_red_stays_red() -> None:
    red = np.zeros((300, 400, 3), np.uint8)
    red[..., 0] = 200
    for frame in Scene(red, 1, length=5).frames():
        channels = decoded(frame).mean(axis=(0, 1))
        assert channels[0] > 90
        assert channels[1:].max() < 10


def test_light_and_compression_change() -> None:
    frames = list(Scene(np.full((300, 400, 3), 120, np.uint8), 1, SMALL, length=LENGTH).frames())
    light = [decoded(frame).mean() for frame in frames]
    assert min(light) == pytest.approx(0.5 * 120, abs=2)
    assert max(light) == pytest.approx(1.4 * 120, abs=2)
    sizes = [len(frame) for frame in Scene(a_photograph(), 1, SMALL, length=LENGTH).frames()]
    assert max(sizes) > 1.5 * min(sizes)
