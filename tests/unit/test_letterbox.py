"""Padded input: the fast way agrees with torchvision's functions, and so does the way through a device."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import get_model_weights  # type: ignore[import-untyped]
from torchvision.models.detection.transform import GeneralizedRCNNTransform  # type: ignore[import-untyped]
from torchvision.transforms import functional as v1  # type: ignore[import-untyped]

from tests.support.models import SIZES, photograph
from tests.support.pictures import JPEG, PNG, Pixels, frame_of, scene
from worker.domain.boxes import Box
from worker.domain.frames import Image
from worker.domain.geometry import Geometry, resize_and_crop, scaled_size
from worker.domain.pictures import PictureRules
from worker.domain.preprocessing import Interpolation, Preprocessing, Sides
from worker.media.images import decode_image
from worker.media.resize import resize_middle
from worker.models.preparation import frame_decoder
from worker.models.torch_preparation import prepare_image
from worker.models.torchvision_weights import published_weights
from worker.settings import Limits, ModelGroup

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
    decode = frame_decoder(numbers, ModelGroup(name="any", preparation=way), Limits())
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
    assert decode_image(frame, PictureRules(), shorter_side=PADDED.least_side).size == (160, 120)
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


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1920, 1080), (640, 480), (500, 500)])
def test_a_segmenters_picture_is_what_torchvisions_preset_makes_of_it(size: tuple[int, int]) -> None:
    numbers = published_weights("fcn_resnet50").preprocessing
    preset = get_model_weights("fcn_resnet50").DEFAULT.transforms()
    pixels = scene(*size)
    expected = preset(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    found, geometry = prepared(PNG(pixels), numbers)
    shown = geometry.shown_part(numbers.crop_size[1], numbers.crop_size[0])
    normalised = (torch.from_numpy(found).permute(2, 0, 1) / 255 - torch.tensor(numbers.mean).view(3, 1, 1)) / (
        torch.tensor(numbers.std).view(3, 1, 1)
    )

    assert expected.shape[1:] == (shown.bottom, shown.right)
    high, wide = expected.shape[1:]
    # One step of a pixel's value.
    assert (normalised[:, :high, :wide] - expected).abs().max() < 1.1 / 255 / min(numbers.std)


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (640, 480), (500, 500), (1500, 300)])
def test_a_detectors_picture_is_scaled_as_torchvision_scales_it(size: tuple[int, int]) -> None:
    numbers = published_weights("fcos_resnet50_fpn").preprocessing
    transform = GeneralizedRCNNTransform(800, 1333, [0, 0, 0], [1, 1, 1])
    pixels = scene(*size)
    expected, _ = transform.resize(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255)
    found, _ = prepared(PNG(pixels), numbers)
    high, wide = expected.shape[1:]
    difference = (torch.from_numpy(found[:high, :wide]).permute(2, 0, 1) / 255 - expected.clamp(0, 1)).abs()

    assert difference.max() <= 0.6 / 255  # rounding to whole values
    assert not found[high:].any()
    assert not found[:, wide:].any()
