import numpy as np
import pytest

from tests.support.mjpeg import colours_of, decode, draw, number_of
from worker.media.jpeg import JpegEncoder, scaled_size


@pytest.mark.parametrize(
    ("size", "scale", "scaled"),
    [
        ((1920, 1080), 0.5, (960, 540)),
        ((1920, 1080), 1 / 3, (640, 360)),
        ((641, 479), 1.0, (641, 479)),
        ((641, 479), 0.999, (640, 478)),
        ((3, 1), 0.01, (2, 1)),
        ((1000, 10), 0.001, (2, 2)),
    ],
)
def test_a_size_is_scaled_to_even_numbers(size: tuple[int, int], scale: float, scaled: tuple[int, int]) -> None:
    assert scaled_size(size, scale) == scaled


def test_a_smaller_picture_shows_the_same() -> None:
    whole, half = JpegEncoder()(draw(12_345)), JpegEncoder(scale=0.5)(draw(12_345))
    assert (decode(whole).shape, decode(half).shape) == ((96, 256, 3), (48, 128, 3))
    assert number_of(whole) == number_of(half) == 12_345
    for jpeg in (whole, half):
        left, right = colours_of(jpeg)
        assert left == pytest.approx([255, 0, 0], abs=8)
        assert right == pytest.approx([0, 0, 255], abs=8)


def test_a_grey_picture_is_encoded_too() -> None:
    assert decode(JpegEncoder(scale=0.5)(np.full((8, 8), 200, np.uint8))).shape == (4, 4, 3)
