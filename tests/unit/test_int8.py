"""Eight bits: what a calibration writes, who reads it, and what is said where there is none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.support.models import open_model, photograph, prepared, small_manifest, write_manifest
from tests.support.pictures import scene
from tests.support.recurrent import moving_pictures, write_recurrent_model
from worker.domain.errors import ModelUnavailable, SettingsError
from worker.local.samples import PHOTOGRAPHS
from worker.models.build import build_model, calibrate
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest, load_manifest
from worker.models.ready import ready_model
from worker.models.store import sha256_of_file
from worker.settings import ModelGroup

pytestmark = pytest.mark.slow
READERS: Final = ("openvino", "onnxruntime")
TINTS: Final = np.random.default_rng(0).random((24, 1, 1, 3))
PICTURES: Final = (TINTS * [np.roll(scene(8, 8), n, axis=(0, 1)) for n in range(24)]).astype(np.uint8)


class Network(nn.Module):
    """Like MobileNetV2's beginning and its end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        second = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        last = nn.Linear(32, 4)
        for weight in (first.weight, second.weight, last.weight):
            nn.init.kaiming_normal_(weight)
        pooled = (nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.layers = nn.Sequential(first, nn.ReLU6(), second, nn.ReLU6(), *pooled, last)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 4)."""
        scores: torch.Tensor = self.layers(pixels)
        return scores


def on_disk(folder: Path, network: nn.Module) -> Manifest:
    """Write a network as a program with a manifest."""
    file = folder / "small.pt2"
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(network.eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=any_batch), file)
    document = small_manifest(sha256=sha256_of_file(file), labels=["one", "two", "three", "four"])
    return load_manifest(write_manifest(folder, document))


def group(manifest: Manifest, **settings: Any) -> ModelGroup:
    return ModelGroup(path=manifest.file, **({"engine": "onnxruntime", "precision": "int8", "threads": 1} | settings))


def opened(manifest: Manifest, **settings: Any) -> LoadedModel:
    return build_model(manifest, group(manifest, **settings))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of converted files, empty."""
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    return tmp_path / "engines"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return on_disk(tmp_path, Network())


@pytest.fixture
def probabilities(manifest: Manifest) -> Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return what each reader says after a calibration, and what torch says in float32, in the order of classes."""
    calibrate(manifest, group(manifest), PICTURES)
    models = {each: opened(manifest, engine=each) for each in READERS}
    models["fp32"] = opened(manifest, engine="eager", precision="fp32")
    found = {}
    for name, model in models.items():
        ranked = model.run(PICTURES)
        found[name] = np.empty_like(ranked["probabilities"])
        np.put_along_axis(found[name], ranked["indices"], ranked["probabilities"], axis=1)
    return found


@pytest.mark.parametrize("engine", READERS)
def test_eight_bits_are_close(engine: str, probabilities: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
    assert np.ptp(probabilities["fp32"], axis=0).max() > 0.2  # one answer to all pictures would be close as well
    assert not np.allclose(probabilities[engine], probabilities["fp32"], atol=1e-5)
    np.testing.assert_allclose(probabilities[engine], probabilities["fp32"], atol=0.03)


def test_real_weights_still_recognise_photographs() -> None:
    manifest = load_manifest(ready_model("mobilenet_v2"))
    exact = open_model(manifest.file.parent)
    pixels = prepared(exact, *(photograph(each.name) for each in PHOTOGRAPHS))
    expected = exact.run(pixels)
    sure = expected["probabilities"][:, 0] > 0.5
    assert sure.sum() == 4
    calibrate(manifest, group(manifest), pixels)

    for engine in READERS:
        found = opened(manifest, engine=engine).run(pixels)
        assert np.array_equal(found["indices"][sure, 0], expected["indices"][sure, 0]), engine


def test_layers_are_in_eight_bits_and_normalisation_and_ranking_are_not(manifest: Manifest) -> None:
    graph = onnx.load(calibrate(manifest, group(manifest), PICTURES)).graph
    producers = {output: node for node in graph.node for output in node.output}
    kinds = {each.name: each.data_type for each in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]

    assert len(layers) == 3
    for layer in layers:
        pixels, weights = (producers[name] for name in layer.input[:2])
        assert (pixels.op_type, weights.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert kinds[weights.input[0]] == onnx.TensorProto.INT8
    for node in graph.node:
        if node.op_type in ("Sub", "Div", "TopK", "Exp", "ReduceSum", "ReduceMin"):
            before = {producers[name].op_type for name in node.input if name in producers}
            # The last layer's scores come back from 8 bits; nothing is made 8 bits for the ranking.
            assert "QuantizeLinear" not in before
            assert not {each.op_type for each in graph.node if set(each.input) & set(node.output)} & {"Relu", "Clip"}


@pytest.mark.parametrize("engine", READERS)
def test_without_a_calibration(engine: str, manifest: Manifest) -> None:
    with pytest.raises(
        ModelUnavailable, match="precision int8 needs a calibration with sample frames: run vision-work"
    ):
        opened(manifest, engine=engine)


def test_one_calibration_is_for_both_engines_and_the_next_one_takes_its_place(manifest: Manifest, cache: Path) -> None:
    first = calibrate(manifest, group(manifest), PICTURES)
    before = first.read_bytes()

    assert calibrate(manifest, group(manifest, engine="openvino"), PICTURES // 2) == first
    assert first.read_bytes() != before
    assert len(list(cache.iterdir())) == 2  # beside it, the model in float32


def test_what_is_not_asked_for_is_not_calibrated(manifest: Manifest) -> None:
    calibrate(manifest, group(manifest), PICTURES)
    with pytest.raises(ModelUnavailable, match="needs a calibration"):
        build_model(on_disk(manifest.file.parent, nn.Sequential(Network(), nn.Softmax(1))), group(manifest))


def test_a_network_without_layers(tmp_path: Path) -> None:
    manifest = on_disk(tmp_path, nn.Sequential(nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(), nn.ZeroPad1d((0, -2))))
    with pytest.raises(ModelUnavailable, match=r"no layer that int8 could speed up; set model\.precision: fp32"):
        calibrate(manifest, group(manifest), PICTURES)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"engine": "eager"}, "engine eager cannot do precision int8: set model.engine: openvino or onnxruntime"),
        ({"engine": "compile"}, "engine compile cannot do precision int8"),
        ({"engine": "onnxruntime", "device": "cuda"}, "int8 is for a CPU, not for cuda"),
    ],
)
def test_who_cannot_do_it(settings: dict[str, Any], fault: str, manifest: Manifest) -> None:
    with pytest.raises(SettingsError, match=fault):
        opened(manifest, **settings)
    with pytest.raises(SettingsError, match=fault):
        calibrate(manifest, group(manifest, **settings), PICTURES)


def test_a_network_on_which_openvino_crashes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails because a newer OpenVINO no longer crashes, `check_survives` can go."""
    with monkeypatch.context() as usual:
        usual.delenv("VISION_WORKER_CACHE")  # the model itself is in the user's cache
        manifest = load_manifest(ready_model("transnetv2"))
    settings = group(manifest, engine="openvino")
    calibrate(manifest, settings, np.zeros((1, *manifest.input_shape), np.uint8))
    with pytest.raises(ModelUnavailable, match="crashes on this network in 8 bits"):
        build_model(manifest, settings)


@pytest.mark.parametrize("engine", READERS)
def test_the_backbone_of_a_recurrent_model_runs_in_eight_bits(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    folder, pixels = write_recurrent_model(tmp_path / "model"), np.array(moving_pictures(16))
    manifest = load_manifest(folder)
    calibrate(manifest, group(manifest, engine=engine), pixels)
    found = build_model(manifest, group(manifest, engine=engine)).run(pixels)["features"]
    expected = open_model(folder).run(pixels)["features"]
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
