"""Detectors, segmenters and embeddings: their heads, their files, and the numbers of published weights."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import nn

from tests.support.bright import LETTERBOX, write_bright_model
from tests.support.dense_models import (
    ByTorchvision,
    ByWorker,
    compare_boxes,
    drawn_dense_model,
    same_places,
    small,
)
from tests.support.models import open_model, photograph, small_model
from worker.domain.errors import ModelContractBroken, ModelUnavailable
from worker.domain.results import Detections, Segmentation
from worker.models.architectures import of_detectors, of_pictures, of_segmenters
from worker.models.classifiers import build_embedder, left_out
from worker.models.detectors import adapt_detector, normalise_as_published
from worker.models.manifest import load_manifest, write_manifest
from worker.models.network import build_network
from worker.models.torchvision_weights import published_weights

QUICK: Final = (
    *("fasterrcnn_mobilenet_v3_large_320_fpn", "fcos_resnet50_fpn", "ssdlite320_mobilenet_v3_large"),
    *("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"),
)
"""One of each kind that answers in seconds."""
HUGE: Final = frozenset({"regnet_x_32gf", "regnet_y_32gf", "regnet_y_128gf"})
"""They take seconds to build, and are built as their small relatives."""
PHOTOGRAPHS: Final = ("coffee", "motorcycle")
CLASSES: Final = 1009


# The same answers as torchvision.


# `python -m tests.benchmarks.dense_models` runs all of them.
@pytest.mark.parametrize("architecture", QUICK)
def test_the_worker_answers_as_torchvision(tmp_path: Path, architecture: str) -> None:
    folder = drawn_dense_model(tmp_path, architecture, small(architecture, 192, 256))
    pictures = [photograph(name).pixels for name in PHOTOGRAPHS]
    plain = ByTorchvision(folder, architecture)
    for result, pixels in zip(ByWorker(folder, masks=True).results(pictures), pictures, strict=True):
        if isinstance(result, Detections):
            expected = plain.boxes(pixels)
            found = compare_boxes(result.boxes, expected)
            assert len(expected) >= 5
            assert min(len(result.boxes), len(expected)) - found.same <= 1  # one may be the last of `most`
            assert found.score < 1e-3
            assert found.place < 0.5
        else:
            assert isinstance(result, Segmentation)
            assert len(result.shares) >= 2
            assert same_places(result, plain.classes(pixels)) > 0.99


# The heads.


class Fixed(nn.Module):
    """Answers any batch of one picture with what it was given."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: torch.Tensor) -> object:
        return self.answer


def pixels(count: int = 1) -> NDArray[np.uint8]:
    return np.zeros((count, 8, 8, 3), np.uint8)


def tensors(*rows: tuple[float, int]) -> dict[str, torch.Tensor]:
    """Return boxes with these scores and labels as torchvision does; the box of a label n begins at n."""
    return {
        "boxes": torch.tensor([[label, 0, label + 1, 8] for _, label in rows], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([score for score, _ in rows]),
        "labels": torch.tensor([label for _, label in rows], dtype=torch.int64),
    }


def detected(answer: object, count: int = 1) -> Mapping[str, NDArray[Any]]:
    return small_model(Fixed(answer), task="detect", classes=9).run(pixels(count))


def test_torchvisions_dicts_become_arrays_of_one_size() -> None:
    found = detected([tensors((0.9, 3), (0.6, 1), (0.4, 2)), tensors()], count=2)

    assert {name: each.shape for name, each in found.items()} == {
        "boxes": (2, 100, 4),
        "scores": (2, 100),
        "labels": (2, 100),
    }
    assert found["scores"][0, :3].tolist() == pytest.approx([0.9, 0.6, 0])  # 0.4 is below the threshold
    assert found["labels"][0, :2].tolist() == [3, 1]
    assert found["boxes"][0, 1].tolist() == [1, 0, 2, 8]
    assert not found["scores"][1].any()


def test_torchvisions_boxes_of_the_background_are_left_out() -> None:
    assert detected([tensors((0.9, 0), (0.6, 1))])["scores"][0, :2].tolist() == pytest.approx([0.6, 0])


def test_a_programs_boxes_may_come_in_any_order_and_the_best_are_kept(tmp_path: Path) -> None:
    rows = tensors((0.6, 1), (0.5, 2), (0.9, 3), (0.7, 4))
    answer = tuple(rows[name][None] for name in ("boxes", "scores", "labels"))
    found = detected(answer)
    assert found["labels"][0, :5].tolist() == [3, 4, 1, 2, 0]

    model = open_model(write_bright_model(tmp_path, most=1, threshold=0.8))
    assert model.run(np.full((3, 96, 128, 3), 255, np.uint8))["scores"].shape == (3, 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (torch.zeros(1, 4), "a Tensor, not a tuple of three tensors: boxes"),
        ([], "a list, not a tuple"),
        ((torch.zeros(1, 3, 5), torch.zeros(1, 3), torch.zeros(1, 3)), r"boxes of shape \(1, 3, 5\), not \(1, n, 4\)"),
        (
            (torch.zeros(1, 3, 4), torch.zeros(1, 2), torch.zeros(1, 3)),
            r"scores \(1, 2\) and labels \(1, 3\), not \(1, 3",
        ),
        ((torch.full((1, 3, 4), torch.nan), torch.zeros(1, 3), torch.zeros(1, 3)), "NaN or infinity"),
    ],
)
def test_what_is_no_answer_of_a_detector_is_refused(answer: object, text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        detected(answer)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_class_of_each_place_is_that_with_the_highest_score(wrapped: bool) -> None:  # noqa: FBT001 a case
    scores = torch.randn(1, 4, 5, 6)
    answer = OrderedDict(out=scores, aux=scores * 0) if wrapped else scores
    found = small_model(Fixed(answer), task="segment").run(pixels())

    assert found["classes"].dtype == np.uint8
    assert np.array_equal(found["classes"], scores.argmax(dim=1).numpy())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (torch.zeros(1, 5, 6, 6), r"\(1, 5, 6, 6\), not \(1, 4\) and a height and a width"),
        (torch.zeros(1, 4), r"\(1, 4\), not \(1, 4\) and a height"),
        ({"aux": torch.zeros(1, 4, 6, 6)}, "a dict, not a tensor of four"),
        (torch.full((1, 4, 6, 6), torch.nan), "NaN or infinity"),
    ],
)
def test_what_is_no_answer_of_a_segmenter_is_refused(answer: object, text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        small_model(Fixed(answer), task="segment").run(pixels())


def test_what_is_no_vector_is_refused() -> None:
    for answer, text in ((torch.zeros(1, 4, 1, 1), r"\(1, 4, 1, 1\), not \(1, n\)"), ((), "a tuple, not a tensor")):
        with pytest.raises(ModelContractBroken, match=text):
            small_model(Fixed(answer), task="embed").run(pixels())


# torchvision's detectors as parts of the worker.


def test_a_detector_is_adapted_to_what_is_wanted_of_it() -> None:
    network: Any = build_network("maskrcnn_resnet50_fpn", task="detect", classes=3)
    for _ in range(2):
        adapt_detector(network, (64, 96), threshold=0.01, most=7)
    assert network.transform.fixed_size == (96, 64)
    assert (network.roi_heads.score_thresh, network.roi_heads.detections_per_img) == (0.01, 100)
    assert not network.roi_heads.has_mask()

    network = build_network("ssdlite320_mobilenet_v3_large", task="detect", classes=3)
    adapt_detector(network, (320, 320), threshold=0.5, most=1000)
    assert (network.score_thresh, network.detections_per_img) == (0.001, 1000)


@pytest.mark.parametrize("engine", ["compile", "openvino", "onnxruntime"])
def test_torchvisions_detectors_need_eager(tmp_path: Path, engine: str) -> None:
    torch.save(build_network(QUICK[1], task="detect", classes=3).state_dict(), tmp_path / "w.pth")
    named = {"name": "d", "architecture": QUICK[1], "weights": "w.pth"}
    write_manifest(tmp_path, named, labels=["none", "a", "b"], preprocessing=LETTERBOX, task="detect")

    with pytest.raises(ModelUnavailable, match=f"engine {engine} cannot run torchvision's detectors.*engine: eager"):
        open_model(tmp_path, engine=engine)


def test_the_oldest_published_weights_are_normalised_as_they_were_trained() -> None:
    file_hash = "258fb6c6" + "0" * 56  # as the name of torchvision's file says
    for sha256, eps in ((file_hash, 0.0), ("0" * 64, 1e-5)):
        network: Any = build_network("fasterrcnn_resnet50_fpn", task="detect", classes=91)
        normalise_as_published(network, "fasterrcnn_resnet50_fpn", sha256)
        assert network.backbone.body.bn1.eps == eps
        assert network.backbone.body.layer4[0].bn2.eps == eps


def test_a_file_with_frozen_batch_normalisation_fits(tmp_path: Path) -> None:
    """Published weights are such files: their layers count no batches."""
    state = build_network("fcos_resnet50_fpn", task="detect", classes=3).state_dict()
    torch.save({name: each for name, each in state.items() if "num_batches" not in name}, tmp_path / "w.pth")
    named = {"name": "d", "architecture": "fcos_resnet50_fpn", "weights": "w.pth"}
    numbers = small("fcos_resnet50_fpn", 64, 64)
    write_manifest(tmp_path, named, labels=["none", "a", "b"], preprocessing=numbers, task="detect")

    assert open_model(tmp_path).run(np.zeros((1, 64, 64, 3), np.uint8))["scores"].shape == (1, 100)


def test_damaged_weights_of_a_detector_are_refused(tmp_path: Path) -> None:
    """It would find nothing, and say so of every picture."""
    state = build_network("ssdlite320_mobilenet_v3_large", task="detect", classes=3).state_dict()
    next(each for each in state.values() if each.is_floating_point())[0] = torch.nan
    torch.save(state, tmp_path / "w.pth")
    named = {"name": "d", "architecture": "ssdlite320_mobilenet_v3_large", "weights": "w.pth"}
    numbers = small("ssdlite320_mobilenet_v3_large", 64, 64)
    write_manifest(tmp_path, named, labels=["none", "a", "b"], preprocessing=numbers, task="detect")

    with pytest.raises(ModelUnavailable, match=r"w\.pth has NaN or infinity in backbone.*: its weights are damaged"):
        open_model(tmp_path)


def test_a_published_segmenters_second_classifier_is_dropped(tmp_path: Path) -> None:
    state = torchvision.models.get_model(
        "deeplabv3_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=3, aux_loss=True
    ).state_dict()
    assert any(name.startswith("aux_classifier.") for name in state)
    torch.save(state, tmp_path / "w.pth")
    named = {"name": "s", "architecture": "deeplabv3_mobilenet_v3_large", "weights": "w.pth"}
    numbers = small("deeplabv3_mobilenet_v3_large", 32, 64)
    write_manifest(tmp_path, named, labels=["none", "a", "b"], preprocessing=numbers, task="segment")

    assert open_model(tmp_path).run(np.zeros((1, 32, 64, 3), np.uint8))["classes"].shape == (1, 32, 64)


@pytest.mark.parametrize(("size", "expected"), [((224, 224), 8), ((320, 640), 1), ((800, 1333), 1), ((96, 128), 8)])
def test_a_part_of_a_call_has_fewer_pictures_the_larger_they_are(size: tuple[int, int], expected: int) -> None:
    numbers = replace(LETTERBOX, resize=size, crop=size)
    model = small_model(Fixed(None), task="detect", preprocessing=numbers, threads=1)
    assert next(part.stop - part.start for part in model.parts(9)) == expected


# Embeddings.


@pytest.mark.parametrize("architecture", sorted(set(of_pictures()) - HUGE))
def test_each_classifier_has_a_layer_to_leave_out(architecture: str) -> None:
    # Names are wanted, not weights; but RegNets compute with numbers of their tensors while they are built.
    with torch.device("cpu" if architecture.startswith("regnet") else "meta"):
        whole, without = build_network(architecture, task="classify", classes=CLASSES), build_embedder(architecture)
    dropped = {name for name in whole.state_dict() if name.startswith(left_out(without))}

    assert dropped
    assert whole.state_dict().keys() - dropped == without.state_dict().keys()


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
@pytest.mark.parametrize("classes", [None, 5, 1000])
def test_an_embedding_is_what_the_classifier_sees(tmp_path: Path, architecture: str, classes: int | None) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, task="classify", classes=classes or 7).eval()
    dropped = left_out(build_embedder(architecture))
    state = {name: each for name, each in network.state_dict().items() if classes or not name.startswith(dropped)}
    torch.save(state, tmp_path / "w.pth")
    named = {"name": "e", "architecture": architecture, "weights": "w.pth"}
    numbers = published_weights(architecture).preprocessing
    write_manifest(tmp_path, named, labels=(), preprocessing=numbers, task="embed")
    batch = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    found = open_model(tmp_path).run(batch)["vectors"]

    assert load_manifest(tmp_path).labels == ()
    assert found.dtype == np.float32
    if architecture == "resnet18":
        network.fc = nn.Identity()
        normalised = (torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - torch.tensor(numbers.mean).view(3, 1, 1)) / (
            torch.tensor(numbers.std).view(3, 1, 1)
        )
        with torch.inference_mode():
            assert found == pytest.approx(network(normalised).numpy(), abs=1e-4)
    else:
        assert found.shape == (2, {"mobilenet_v3_small": 1024, "squeezenet1_1": 512}[architecture])


# Published weights.


@pytest.mark.parametrize("architecture", of_detectors())
def test_all_of_torchvisions_detectors_are_described(architecture: str) -> None:
    for member in torchvision.models.get_model_weights(architecture).__members__:
        weights = published_weights(architecture, member)
        numbers = weights.preprocessing
        assert (weights.task, len(weights.labels)) == ("detect", 2 if "keypoint" in architecture else 91)
        assert (numbers.mean, numbers.std, numbers.antialias) == ((0, 0, 0), (1, 1, 1), False)
        fixed = {"ssd300_vgg16": (300, 300), "ssdlite320_mobilenet_v3_large": (320, 320)}.get(architecture)
        assert numbers.pad == (fixed is None)
        assert numbers.resize == numbers.crop == (fixed or ((320, 640) if "320" in architecture else (800, 1333)))


@pytest.mark.parametrize("architecture", of_segmenters())
def test_all_of_torchvisions_segmenters_are_described(architecture: str) -> None:
    for member in torchvision.models.get_model_weights(architecture).__members__:
        weights = published_weights(architecture, member)
        assert (weights.task, len(weights.labels)) == ("segment", 21)
        assert weights.preprocessing.resize == weights.preprocessing.crop == (520, 928)
        assert (weights.preprocessing.pad, weights.preprocessing.antialias) == (True, True)


def test_more_boxes_than_the_head_keeps_are_left_out() -> None:
    found = detected([tensors(*((0.5 + number / 1000, 1 + number % 8) for number in range(150)))])
    assert found["scores"].shape == (1, 100)
    assert found["scores"].min() == pytest.approx(0.55)
