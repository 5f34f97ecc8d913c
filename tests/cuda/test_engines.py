"""Every task on a GPU says what the CPU says, within what the precision allows."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.dense_models import ByWorker, compare_boxes, drawn_dense_model, same_places, small
from tests.support.models import Brightness, Motion, drawn_beginning, drawn_model, moving_clips, photograph, small_model
from tests.support.pictures import scene
from tests.support.recurrent import moving_pictures, write_recurrent_model
from tests.support.video_models import by_worker, drawn_video_model, video_frames
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelOutOfMemory, ModelUnavailable
from worker.domain.results import Detections, Segmentation
from worker.models.build import load_model
from worker.models.engines.torch_engine import describe_processor, find_device
from worker.models.loaded import LoadedModel
from worker.models.manifest import load_manifest
from worker.models.manifest import write_manifest as write_model
from worker.settings import ModelGroup

PHOTOGRAPHS: Final = ("chelsea", "coffee", "rocket", "motorcycle", "cameraman")
BOUNDS: Final = {"fp32": 0.05, "fp16": 0.05, "bf16": 0.2}
"""Largest difference of a probability. In fp32, torch lets convolutions round their inputs to 10 bits (TF32)."""
WAYS: Final = [("eager", "fp32"), ("eager", "fp16"), ("eager", "bf16"), ("compile", "fp32"), ("compile", "fp16")]


def probabilities_of(model: LoadedModel, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities by class index, (samples, classes)."""
    found = model.run(pixels)
    sorted_out = np.empty_like(found["probabilities"])
    np.put_along_axis(sorted_out, found["indices"], found["probabilities"], axis=1)
    return sorted_out


@pytest.fixture(scope="module", params=["mobilenet_v3_small", "program"])
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    if request.param == "program":
        return drawn_beginning(folder, "mobilenet_v2", blocks=4)
    return drawn_model(folder, request.param)


@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_pictures_are_classified(classifier: Path, engine: str, precision: str) -> None:
    pixels = np.stack([photograph(name).pixels[:224, :224] for name in PHOTOGRAPHS if name != "rocket"])
    on = {name: load_model(group) for name, group in groups(classifier, engine, precision).items()}
    expected = probabilities_of(on["cpu"], pixels)

    for count in (1, 3, len(pixels)):
        found = probabilities_of(on["cuda"], pixels[:count])
        assert np.abs(found - expected[:count]).max() < BOUNDS[precision]


def groups(folder: Path, engine: str, precision: str) -> dict[str, ModelGroup]:
    return {
        "cpu": ModelGroup(path=folder, top_k=1000, profile="off"),
        "cuda": ModelGroup.model_validate(
            {
                "path": folder,
                "top_k": 1000,
                "profile": "off",
                "device": "cuda",
                "engine": engine,
                "precision": precision,
            }
        ),
    }


@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_small_networks_of_clips(engine: str, precision: str) -> None:
    kinds: list[Callable[..., LoadedModel]] = [
        lambda **more: small_model(Motion(), task="clip", clip=ClipShape(6, 15.0), **more),
        lambda **more: small_model(
            Brightness(), task="frame_values", clip=ClipShape(6, 25.0, 2), labels=("dark", "light"), **more
        ),
    ]
    for make in kinds:
        clips = moving_clips(5)
        expected, found = make().run(clips), make(device="cuda", engine=engine, precision=precision).run(clips)
        name = "values" if "values" in expected else "probabilities"
        np.testing.assert_allclose(found[name], expected[name], atol=BOUNDS[precision])


@pytest.mark.parametrize("architecture", ["r3d_18", "s3d", "mvit_v2_s"])
def test_torchvisions_video_models(tmp_path: Path, architecture: str) -> None:
    frames = 14 if architecture == "s3d" else 16 if architecture == "mvit_v2_s" else 8
    folder = drawn_video_model(tmp_path, architecture, frames)
    clips = [video_frames("bikes", first=first, count=frames) for first in (0, 60, 150)]
    expected = by_worker(folder)(clips)
    for precision in ("fp32", "fp16"):
        found = by_worker(folder, device="cuda", precision=precision)(clips)
        assert np.abs(found - expected).max() < BOUNDS[precision]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "architecture",
    [
        "ssdlite320_mobilenet_v3_large",
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "fcos_resnet50_fpn",
        "lraspp_mobilenet_v3_large",
        "deeplabv3_mobilenet_v3_large",
    ],
)
def test_detectors_and_segmenters(tmp_path: Path, architecture: str, precision: str) -> None:
    folder = drawn_dense_model(tmp_path, architecture, small(architecture, 192, 256))
    pictures = [photograph(name).pixels for name in ("coffee", "motorcycle")]
    expected = ByWorker(folder, masks=True).results(pictures)
    found = ByWorker(folder, masks=True, device="cuda", precision=precision).results(pictures)
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, Detections) and isinstance(other, Detections):
            assert len(other.boxes) >= 5
            same = compare_boxes(one.boxes, other.boxes, close=0.1).same
            assert same >= 0.8 * len(other.boxes)
        else:
            assert isinstance(one, Segmentation)
            assert isinstance(other, Segmentation)
            assert one.mask is not None
            assert other.mask is not None
            assert same_places(one, mask_of(other)) > 0.95


def mask_of(result: Segmentation) -> NDArray[np.uint8]:
    assert result.mask is not None
    return np.asarray(cv2.imdecode(np.frombuffer(result.mask.png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_embeddings(tmp_path: Path, engine: str, precision: str) -> None:
    folder = drawn_model(tmp_path, "mobilenet_v3_small")
    told = load_manifest(folder)
    write_model(
        folder,
        {"name": "vectors", "architecture": "mobilenet_v3_small", "weights": told.file.name},
        labels=(),
        preprocessing=told.preprocessing,
        task="embed",
    )
    pixels = np.stack([photograph(name).pixels[:224, :224] for name in ("chelsea", "coffee")])
    by = groups(folder, engine, precision)
    expected, found = (load_model(by[device]).run(pixels)["vectors"] for device in ("cpu", "cuda"))
    cosine = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > 0.99


@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_a_recurrent_models_backbone(tmp_path: Path, engine: str, precision: str) -> None:
    folder = write_recurrent_model(tmp_path)
    pixels = np.stack(moving_pictures(6))
    by = groups(folder, engine, precision)
    on = {device: load_model(group) for device, group in by.items()}
    features = {device: model.run(pixels)["features"] for device, model in on.items()}
    scale = np.abs(features["cpu"]).max()
    assert np.abs(features["cuda"] - features["cpu"]).max() < BOUNDS[precision] * scale

    states = np.zeros((6, on["cpu"].recurrent.state_size), np.float32)  # type: ignore[union-attr]
    scores = {
        device: model.recurrent.step(features[device], states).scores  # type: ignore[union-attr]
        for device, model in on.items()
    }
    assert np.abs(scores["cuda"] - scores["cpu"]).max() < 10 * BOUNDS[precision]


def test_a_call_too_large_for_the_gpu_is_a_lack_of_memory(tmp_path: Path) -> None:
    """So the worker halves it, instead of ending."""
    model = load_model(groups(drawn_model(tmp_path, "mobilenet_v3_small"), "eager", "fp32")["cuda"])
    pixels = np.stack([scene(224, 224)] * 64)
    model.run(pixels[:1])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**20) / total)
        with pytest.raises(ModelOutOfMemory):
            model.run(pixels)
        assert model.run(pixels[:1])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(model.run(pixels)["indices"]) == len(pixels)


def test_the_gpu_is_named() -> None:
    name, _ = describe_processor("cuda")
    assert name.endswith(f" and {torch.cuda.get_device_name(0)}")
    assert find_device("cuda:0", "bf16") == torch.device("cuda:0")
    with pytest.raises(ModelUnavailable, match=r"device 'cuda:99'.* sees \d+ CUDA devices"):
        find_device("cuda:99", "fp32")
