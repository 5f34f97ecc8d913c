"""Geometry: a point of the model's input lies where the picture has it, whichever way the picture was prepared."""

import doctest
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.support.pictures import frame_of
from worker.domain import geometry
from worker.domain.geometry import Geometry
from worker.domain.preprocessing import Interpolation, Preprocessing, Sides
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup

SPOT = 24
"""Side of a white square on black, in pixels of the picture."""


def numbers(interpolation: Interpolation) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(resize=256, crop=224, interpolation=interpolation, antialias=True, mean=half, std=half)


def centre(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> tuple[float, float]:
    """Return where the light is, measured as `Geometry` measures."""
    light = pixels.astype(float).sum(axis=2)
    down, across = np.indices(light.shape) + 0.5
    return float((across * light).sum() / light.sum()), float((down * light).sum() / light.sum())


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (480, 640), (1280, 720), (1601, 1203), (256, 256), (300, 280)]
)
@pytest.mark.parametrize(
    ("preparation", "interpolation"),
    [
        ("exact", "bilinear"),
        ("exact", "nearest"),
        ("uint8", "bilinear"),
        ("uint8", "nearest"),
        ("reduced", "bilinear"),
        ("reduced", "nearest"),
    ],
)
def test_a_spot_is_found_where_it_was(width: int, height: int, preparation: str, interpolation: Interpolation) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    left, top = int(width * 0.55), int(height * 0.4)
    picture[top : top + SPOT, left : left + SPOT] = 255
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    group = ModelGroup(name="any", preparation=preparation)
    out = np.empty((224, 224, 3), np.uint8)

    found = frame_decoder(numbers(interpolation), group, Limits())(frame_of(jpeg), out)

    assert (found.width, found.height) == (width, height)
    x, y = found.to_picture(*centre(out))
    assert x == pytest.approx(left + SPOT / 2, abs=0.75 / found.scale_x)
    assert y == pytest.approx(top + SPOT / 2, abs=0.75 / found.scale_y)


@pytest.mark.parametrize("crop", [112, (120, 90)])
@pytest.mark.parametrize(("width", "height"), [(640, 272), (480, 640)])
def test_a_spot_is_found_where_a_resize_to_height_and_width_moved_it(width: int, height: int, crop: Sides) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    left, top = int(width * 0.55), int(height * 0.4)
    picture[top : top + SPOT, left : left + SPOT] = 255
    video = replace(numbers("bilinear"), resize=(128, 171), crop=crop)
    out = np.empty((*video.crop_size, 3), np.uint8)
    png = cv2.imencode(".png", picture)[1].tobytes()

    found = frame_decoder(video, ModelGroup(name="any"), Limits())(frame_of(png), out)

    assert (found.scale_x, found.scale_y) == (171 / width, 128 / height)
    x, y = found.to_picture(*centre(out))
    assert x == pytest.approx(left + SPOT / 2, abs=0.75 / found.scale_x)
    assert y == pytest.approx(top + SPOT / 2, abs=0.75 / found.scale_y)


def test_there_and_back_again() -> None:
    one = Geometry(640, 480, scale_x=0.4, scale_y=0.5, left=-3, top=7)

    assert one.to_input(*one.to_picture(12.5, 99.25)) == pytest.approx((12.5, 99.25))


def test_the_examples_hold() -> None:
    result = doctest.testmod(geometry)

    assert result.attempted
    assert result.failed == 0
