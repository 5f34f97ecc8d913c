"""Every way of preprocessing that a manifest can name gives the numbers that torchvision's transforms give."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import nn
from torchvision.transforms import v2  # type: ignore[import-untyped]

from tests.support.engines import OTHER_ENGINES
from tests.support.models import Answering, load_file, photograph, small_model
from tests.support.pictures import JPEG, PNG, Pixels, frame_of, scene
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.frames import RawLayout
from worker.domain.preprocessing import Preprocessing, Sides
from worker.media.channels import write_channels
from worker.models.architectures import for_task
from worker.models.manifest import load_manifest, write_manifest
from worker.models.network import build_network, load_network
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup

PHOTOGRAPHS: Final = ("chelsea", "coffee", "rocket")
INTERPOLATIONS: Final = (
    ("bilinear", True),
    ("bilinear", False),
    ("bicubic", True),
    ("bicubic", False),
    ("nearest", True),
    ("nearest-exact", True),
)
SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"resize": 128, "crop": 112},
    {"resize": 128, "crop": (96, 120)},
    {"resize": (96, 160), "crop": (96, 160)},
    {"resize": (120, 160), "crop": 112},
    {"resize": 128, "crop": 128, "pad": True, "fill": (0, 0, 0)},
    {"resize": (96, 160), "crop": (96, 160), "pad": "center", "fill": (114, 114, 114)},
    {"resize": (160, 96), "crop": (160, 96), "pad": "center", "fill": (124, 116, 104)},
)
VALUES: Final[tuple[dict[str, Any], ...]] = (
    {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    {"channels": "bgr", "max_value": 255, "mean": (103.53, 116.28, 123.675), "std": (1.0, 1.0, 1.0)},
    {"channels": "gray", "mean": (0.1307,), "std": (0.3081,)},
    {"channels": "gray", "max_value": 255, "mean": (0.0,), "std": (256.0,)},
    {"max_value": 255, "mean": (-1.0, 0.0, 300.0), "std": (0.01, 3.0, 1000.0)},
)


def as_input(data: bytes | None, numbers: Preprocessing, way: str = "exact", **layout: Any) -> torch.Tensor:
    """Return what a network gets of a picture, (channels, height, width), by the worker's decoder and graph."""
    seen = []

    def look(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels[0].clone())
        return torch.zeros(len(pixels), 4)

    model = small_model(Answering(look), preprocessing=numbers)
    batch = np.full((1, *model.input_shape), 77, np.uint8)  # what was in the slot before
    decode = frame_decoder(numbers, ModelGroup(name="any", preparation=way), Limits())
    decode(frame_of(data, **layout), batch[0])
    model.run(batch)
    (pixels,) = seen
    return pixels.contiguous()


def by_torchvision(pixels: Pixels, numbers: Preprocessing, *, whole: bool = False) -> torch.Tensor:
    """Return the same by `torchvision.transforms.v2`; grey by way of Pillow.

    torchvision resizes in floats, as the presets of its weights do, unless `whole`; then in whole numbers.
    """
    sides = numbers.resize if isinstance(numbers.resize, int) else list(numbers.resize)
    how = {"interpolation": v2.InterpolationMode(numbers.interpolation), "antialias": numbers.antialias}
    picture = v2.functional.to_image(pixels)
    if not whole:
        picture = v2.ToDtype(torch.float32)(picture)
    if numbers.pad:
        picture = _letterboxed(picture, numbers, how)
    else:
        picture = v2.Compose([v2.Resize(sides, **how), v2.CenterCrop(numbers.crop_size)])(picture)
    picture = picture.round().clamp(0, 255).to(torch.uint8)
    if numbers.channels == "gray":
        picture = v2.functional.to_image(v2.Grayscale()(v2.functional.to_pil_image(picture)))
    elif numbers.channels == "bgr":
        picture = picture.flip(0)
    values = v2.ToDtype(torch.float32, scale=numbers.max_value == 1)
    normalised: torch.Tensor = v2.Compose([values, v2.Normalize(list(numbers.mean), list(numbers.std))])(picture)
    return normalised


def _letterboxed(picture: torch.Tensor, numbers: Preprocessing, how: dict[str, Any]) -> torch.Tensor:
    (high, wide), (height, width) = numbers.crop_size, picture.shape[1:]
    scale = min(high / height, wide / width)
    scaled = v2.Resize([int(height * scale + 1e-9), int(width * scale + 1e-9)], **how)(picture)
    down, across = high - scaled.shape[1], wide - scaled.shape[2]
    left, top = (across // 2, down // 2) if numbers.pad == "center" else (0, 0)
    padded: torch.Tensor = v2.Pad([left, top, across - left, down - top], fill=list(numbers.fill))(scaled)
    return padded


@pytest.mark.parametrize(("interpolation", "antialias"), INTERPOLATIONS)
@pytest.mark.parametrize("values", VALUES)
def test_a_network_gets_what_torchvisions_transforms_give(
    values: dict[str, Any],
    interpolation: Any,
    antialias: bool,  # noqa: FBT001 a case
) -> None:
    for shape, name in product(SHAPES, PHOTOGRAPHS):
        numbers = Preprocessing(interpolation=interpolation, antialias=antialias, **shape, **values)
        pixels = photograph(name).pixels
        found, expected = as_input(PNG(pixels), numbers), by_torchvision(pixels, numbers)
        step = torch.tensor(numbers.max_value / 255 / np.array(numbers.std), dtype=torch.float32).view(-1, 1, 1)
        steps = (found - expected).abs() / step  # of a pixel's value

        assert found.shape == expected.shape
        if antialias and not interpolation.startswith("nearest"):
            assert steps.max() < 1.01
            assert (steps > 0.5).float().mean() < 0.0005
        else:
            assert steps.max() < 1e-3  # torchvision multiplies by 1 / 255
        in_whole = (found - by_torchvision(pixels, numbers, whole=True)).abs() / step
        # Where a cubic overshoots, whole numbers are clipped after the one dimension and after the other.
        assert in_whole.max() < (16 if interpolation == "bicubic" else 1.01)
        assert in_whole.mean() < 0.5


def test_a_grey_picture_keeps_its_values_on_the_way_to_a_network_of_one_channel() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    numbers = Preprocessing(
        resize=16,
        crop=16,
        interpolation="bilinear",
        antialias=True,
        mean=(0.0,),
        std=(1.0,),
        channels="gray",
        max_value=255,
    )
    encoded = PNG(np.dstack([grey] * 3))
    for found in (as_input(encoded, numbers), as_input(grey.tobytes(), numbers, raw=RawLayout("gray8", 16, 16))):
        assert found.shape == (1, 16, 16)
        assert np.array_equal(found[0].numpy(), grey)


def test_grey_is_pillows_of_every_colour() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    out = np.empty((700, 700, 1), np.uint8)
    write_channels(colours, out, "gray")
    assert np.array_equal(out[..., 0], np.asarray(Pillow.fromarray(colours).convert("L")))


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("values", VALUES[1:3])
@pytest.mark.parametrize("way", ["reduced", "nvjpeg"])
def test_every_way_of_decoding_gives_the_channels_of_the_network(way: str, values: dict[str, Any]) -> None:
    for shape in SHAPES:
        numbers = Preprocessing(interpolation="bilinear", antialias=True, **shape, **values)
        jpeg = JPEG(scene(640, 480))
        found, exact = as_input(jpeg, numbers, way), as_input(jpeg, numbers)
        step = numbers.max_value / 255 / min(numbers.std)
        assert (found - exact).abs().mean() < 2 * step


@pytest.mark.parametrize("resize", [48, (48, 80)])
def test_a_picture_of_one_colour_tells_blue_from_red(resize: Sides) -> None:
    blue = np.zeros((60, 90, 3), np.uint8)
    blue[..., 2] = 255
    usual = {"resize": resize, "crop": 48, "interpolation": "bilinear", "antialias": True}
    zero, one = (0.0,) * 3, (1.0,) * 3
    rgb, bgr = (Preprocessing(**usual, mean=zero, std=one, channels=each) for each in ("rgb", "bgr"))  # type: ignore[arg-type]
    assert as_input(PNG(blue), rgb).mean(dim=(1, 2)).tolist() == [0, 0, 1]
    assert as_input(PNG(blue), bgr).mean(dim=(1, 2)).tolist() == [1, 0, 0]


GREY: Final = Preprocessing(
    resize=32, crop=32, interpolation="bilinear", antialias=True, mean=(0.5,), std=(0.5,), channels="gray"
)


RGB: Final = replace(GREY, mean=(0.5,) * 3, std=(0.5,) * 3, channels="rgb")


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "squeezenet1_0", "vit_b_16", "swin_t"])
def test_networks_of_torchvision_are_built_for_one_channel(architecture: str) -> None:
    assert architecture in for_task("classify")
    with torch.device("meta"):
        network = build_network(architecture, task="classify", classes=3, channels=1)
        assert network.eval()(torch.zeros(2, 1, 224, 224)).shape == (2, 3)


def test_a_clip_network_of_one_channel() -> None:
    with torch.device("meta"):
        network = build_network("r3d_18", task="clip", classes=3, channels=1)
        assert network.eval()(torch.zeros(1, 1, 4, 32, 32)).shape == (1, 3)


def test_weights_of_one_channel_are_loaded_from_their_manifest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("resnet18", task="classify", classes=3, channels=1).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    named = {"name": "grey", "architecture": "resnet18", "weights": "w.pth"}
    write_manifest(tmp_path, named, labels=("a", "b", "c"), preprocessing=GREY)
    manifest = load_manifest(tmp_path)
    assert manifest.input_shape == (32, 32, 1)
    found = load_network(manifest)
    assert isinstance(found, nn.Module)
    pixels = torch.rand(2, 1, 32, 32)
    assert torch.equal(found.eval()(pixels), network(pixels))
    with pytest.raises(ModelUnavailable, match="is not a state dict of resnet18"):
        load_network(replace(manifest, preprocessing=RGB))


@pytest.mark.parametrize(
    ("numbers", "given", "advice"),
    [
        (GREY, RGB, r"takes 1 channel: set preprocessing\.channels: gray"),
        (RGB, GREY, r"takes 3 channels: set preprocessing\.channels: rgb, or bgr"),
    ],
)
def test_a_program_of_other_channels_than_its_manifest_says(
    tmp_path: Path, numbers: Preprocessing, given: Preprocessing, advice: str
) -> None:
    depth, any_batch = numbers.depth, ({0: torch.export.Dim("batch", min=1)},)
    network = nn.Sequential(nn.Conv2d(depth, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    file = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(network, (torch.zeros(2, depth, 32, 32),), dynamic_shapes=any_batch), file)
    load_file(file, preprocessing=numbers, classes=3)
    with pytest.raises(ModelUnavailable, match=advice):
        load_file(file, preprocessing=given, classes=3)


class Pooled(nn.Module):
    """Four scores of the mean of each channel, by a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layer = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (batch, 4), given (batch, channels, height, width)."""
        scores: torch.Tensor = self.layer(pixels).mean(dim=(2, 3))
        return scores


@pytest.mark.parametrize("values", VALUES[1:4])
@pytest.mark.parametrize("engine", OTHER_ENGINES)
def test_every_engine_takes_every_kind_of_input(
    engine: str, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    numbers = Preprocessing(resize=16, crop=16, interpolation="bilinear", antialias=True, **values)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *numbers.picture_shape), np.uint8)
    network = Pooled(numbers.depth)
    expected = small_model(network, preprocessing=numbers).run(pixels)
    found = small_model(network, preprocessing=numbers, engine=engine).run(pixels)
    np.testing.assert_array_equal(found["indices"], expected["indices"])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], rtol=1e-3, atol=1e-6)


def test_a_clip_of_grey_pictures() -> None:
    model = small_model(
        Answering(lambda x: x.mean(dim=(1, 3, 4)).repeat(1, 2)), preprocessing=GREY, task="clip", clip=ClipShape(2, 5)
    )
    assert model.input_shape == (2, 32, 32, 1)
    clips = np.stack([np.full((2, 32, 32, 1), value, np.uint8) for value in (0, 255)])
    assert model.run(clips)["probabilities"].shape == (2, 4)
