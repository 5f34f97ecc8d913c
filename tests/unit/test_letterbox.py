"""Padded input: the fast way agrees with torchvision's functions, and so does the way through a device."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import functional as v1  # type: ignore[import-untyped]

from tests.support.models import SIZES, photograph
from tests.support.pictures import JPEG, PNG, Pixels, frame_of, scene
from worker.domain.boxes import Box
from worker.domain.frames import Image
from worker.domain.geometry import Geometry, resize_and_crop, scaled_size
from worker.domain.preprocessing import Interpolation, Preprocessing, Sides
from worker.media.images import decode_image
from worker.media.resize import resize_middle
from worker.models.preparation import frame_decoder
from worker.models.torch_preparation import prepare_image
from worker.settings import ModelGroup

PADDED: Final = Preprocessing(
    resize=(120, 200), crop=(120, 200), interpolation="bilinear", antialias=True, mean=(0,) * 3, std=(1,) * 3, pad=True
)


def by_hand(pixels: Pixels, numbers: Preprocessing) -> Pixels:
    """Return what torchvision's resize of a uint8 picture gives, with black below or at the right."""
    high, wide = numbers.crop_size
    scale = min(high / pixels.shape[0], wide / pixels.shape[1])
    sides = [max(1, int(side * scale + 1e-9)) for side in pixels.shape[:2]]
    whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    resized = v1.resize(whole, sides, v1.InterpolationMode(numbers.interpolation), antialias=numbers.antialias)
    canvas = np.zeros((high, wide, 3), np.uint8)
    canvas[: sides[0], : sides[1]] = resized.permute(1, 2, 0).numpy()
    return canvas


def prepared(frame_bytes: bytes, numbers: Preprocessing, way: str = "exact") -> tuple[Pixels, Geometry]:
    out = np.full((*numbers.crop_size, 3), 77, np.uint8)  # what was in the slot before
    decode = frame_decoder(numbers, ModelGroup(name="any", preparation=way), max_pixels=10_000_000)
    return out, decode(frame_of(frame_bytes), out)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("resize", [(120, 200), (200, 120), 96])
@pytest.mark.parametrize(
    ("interpolation", "antialias"), [("bilinear", True), ("bicubic", True), ("bilinear", False), ("nearest", True)]
)
def test_a_picture_is_padded_as_torchvision_scales_it(
    height: int,
    width: int,
    resize: Sides,
    interpolation: Interpolation,
    antialias: bool,  # noqa: FBT001 a case
) -> None:
    numbers = replace(PADDED, resize=resize, crop=resize, interpolation=interpolation, antialias=antialias)
    pixels = scene(width, height)
    expected, slow = by_hand(pixels, numbers), np.full((*numbers.crop_size, 3), 77, np.uint8)
    found, _ = prepared(PNG(pixels), numbers)
    prepare_image(Image(pixels), slow, numbers)

    assert np.array_equal(slow, expected)
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= antialias
    # At a simple ratio of sizes, many a value lies in the middle between two.
    assert (difference > 0).mean() < 0.15


@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle", "rocket"])
def test_the_fast_way_agrees_on_photographs(name: str) -> None:
    image = photograph(name)
    fast, slow = (np.full((120, 200, 3), 77, np.uint8) for _ in range(2))
    resize_middle(image, fast, PADDED)
    prepare_image(image, slow, PADDED)
    difference = np.abs(fast.astype(int) - slow)

    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.0005


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("size", [(640, 360), (300, 500)])
def test_a_device_pads_too(size: tuple[int, int]) -> None:
    jpeg = JPEG(scene(*size))
    (by_device, geometry), (by_cpu, expected) = prepared(jpeg, PADDED, "nvjpeg"), prepared(jpeg, PADDED)

    assert geometry == expected
    assert np.abs(by_device.astype(int) - by_cpu).max() <= 3
    *_, right, bottom = map(int, geometry.shown_part(200, 120))
    assert not by_device[bottom:].any()
    assert not by_device[:, right:].any()


def test_a_large_jpeg_is_decoded_no_larger_than_the_input_needs() -> None:
    frame = frame_of(JPEG(scene(1280, 960)))
    assert PADDED.least_side == 120
    assert decode_image(frame, max_pixels=10_000_000, shorter_side=PADDED.least_side).size == (160, 120)
    (reduced, geometry), (exact, expected) = prepared(frame.data, PADDED, "reduced"), prepared(frame.data, PADDED)

    assert geometry == expected
    assert np.abs(reduced.astype(int) - exact).mean() < 2


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 900), st.integers(1, 900))
def test_a_padded_picture_fills_one_side_and_never_leaves_the_input(
    width: int, height: int, high: int, wide: int
) -> None:
    numbers = replace(PADDED, resize=(high, wide), crop=(high, wide))
    across, down = scaled_size((width, height), numbers)
    geometry = resize_and_crop((width, height), (width, height), numbers)

    assert (across == wide and 1 <= down <= high) or (down == high and 1 <= across <= wide)
    assert abs(across * height - down * width) <= max(width, height)  # less than a pixel off its shape
    assert geometry.to_input(width, height) == pytest.approx((across, down))
    assert geometry.shown_part(wide, high) == pytest.approx(Box(0, 0, across, down))
