"""torchvision's detectors and segmenters with drawn weights, and what plain torchvision makes of the same pictures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn
from torchvision.models import get_model  # type: ignore[import-untyped]
from torchvision.transforms import functional  # type: ignore[import-untyped]

from tests.support.models import open_model, photograph
from tests.support.pictures import PNG, frame_of
from worker.domain.boxes import Box, overlap
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import Detected, Result, Segmentation
from worker.models.manifest import MANIFEST_FILE, write_manifest
from worker.models.preparation import frame_decoder
from worker.models.torchvision_weights import published_weights
from worker.ports import Asked
from worker.settings import Limits, ModelGroup

Pixels = NDArray[np.uint8]
THRESHOLD: Final = 0.1
MOST: Final = 50

_HIGHEST: Final = 6.0
"""The highest score: with torchvision's initial weights all classes are equally likely everywhere. With much higher
ones, many probabilities would be exactly 1, and it would be open which of them come first."""
_BACKGROUND: Final = -4.0
"""Added to the score of the background, which might be the most likely class everywhere."""
_RESIDUAL: Final = 0.2
"""Weight of what each residual block adds. With torchvision's initial 1, a hundred layers are chaotic: one value of the
picture that is rounded to its neighbour changes the class of one place in fifty."""
_CLOSE: Final = 0.01
_SCORES: Final = ("cls_score", "cls_logits", "classification_head", "classifier")
"""Parts of the names of the layers that give scores."""


def small(architecture: str, height: int, width: int) -> Preprocessing:
    """Return a network's preprocessing, to a smaller input where it takes one: detectors of one size do not."""
    numbers = published_weights(architecture).preprocessing
    return replace(numbers, resize=(height, width), crop=(height, width)) if numbers.pad else numbers


def drawn_dense_model(folder: Path, architecture: str, numbers: Preprocessing | None = None) -> Path:
    """Write a model folder for one of torchvision's detectors or segmenters, and return it.

    Its weights are drawn with a fixed seed. Batch normalisation has seen real photographs, and the layers that give
    scores are scaled, so that there are boxes of several classes, and areas of several classes.
    """
    published = published_weights(architecture)
    numbers = numbers or published.preprocessing
    torch.manual_seed(7)
    network = _plain(architecture, numbers).eval()
    seen = torch.stack([as_input(photograph(name).pixels, numbers) for name in ("coffee", "chelsea")])
    with torch.inference_mode(mode=False), torch.no_grad():
        for name, layer in network.named_modules():
            if name.endswith(".bn3"):
                layer.weight.fill_(_RESIDUAL)
        with _learning_statistics(network):
            network(list(seen) if published.task == "detect" else seen)
        for layer in _score_layers(network, len(published.labels)):
            nn.init.zeros_(layer.bias)
            nn.init.normal_(layer.weight, std=0.01)
            with _output_of(layer) as outputs:
                network(list(seen) if published.task == "detect" else seen)
            layer.weight *= _HIGHEST / max(float(each.abs().max()) for each in outputs)
            layer.bias.view(-1, len(published.labels))[:, 0] = _BACKGROUND
    torch.save(network.state_dict(), folder / "weights.pth")
    write_manifest(
        folder,
        {"name": architecture, "architecture": architecture, "weights": "weights.pth"},
        labels=published.labels,
        preprocessing=numbers,
        task=published.task,
    )
    if published.task == "detect":
        document = yaml.safe_load((folder / MANIFEST_FILE).read_text())
        (folder / MANIFEST_FILE).write_text(yaml.safe_dump({**document, "threshold": THRESHOLD, "most": MOST}))
    return folder


class ByWorker:
    """What the worker says of pictures: decode, prepare, run, and make a result."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._model = open_model(folder, **settings)
        self._decode = frame_decoder(self._model.preprocessing, ModelGroup(path=folder), Limits())

    def results(self, pictures: Sequence[Pixels]) -> list[Result]:
        """Return the results of pictures that share a call."""
        model = self._model
        batch = np.empty((len(pictures), *model.input_shape), np.uint8)
        asked = [
            Asked(self._decode(frame_of(PNG(pixels)), out), (0,)) for pixels, out in zip(pictures, batch, strict=True)
        ]
        return [result for (result,) in model.task.results(model.run(batch), asked)]

    def result(self, pixels: Pixels) -> Result:
        """Return the result of a picture alone."""
        return self.results([pixels])[0]


def same_places(found: Segmentation, expected: Pixels) -> float:
    """Return the share of the places of a mask that have the expected class."""
    assert found.mask is not None
    classes = np.asarray(cv2.imdecode(np.frombuffer(found.mask.png, np.uint8), cv2.IMREAD_UNCHANGED))
    assert classes.shape == expected.shape
    return float((classes == expected).mean())


class Agreement(NamedTuple):
    """How far the boxes of two sides agree.

    Attributes:
        same: boxes of the one side that have a partner of the same class and nearly the same place on the other side.
        score: largest difference of the scores of partners.
        place: largest difference of a side of partners, in pixels.
    """

    same: int
    score: float
    place: float


def compare_boxes(found: Sequence[Detected], expected: Sequence[Detected], close: float = _CLOSE) -> Agreement:
    """Find the partner of each box. The order does not count: nearly equal scores may change places.

    Args:
        found: the boxes of one side.
        expected: those of the other side.
        close: how far scores of partners may differ, and what share of their area may not overlap.
    """
    left, scores, places = list(expected), [0.0], [0.0]
    for each in found:
        partners = [other for other in left if other.index == each.index and abs(other.score - each.score) < close]
        best = max(partners, key=lambda other: overlap(each.box, other.box), default=None)
        if best is None or overlap(each.box, best.box) < 1 - close:
            continue
        left.remove(best)
        scores.append(abs(each.score - best.score))
        places.append(max(abs(one - other) for one, other in zip(each.box, best.box, strict=True)))
    return Agreement(len(expected) - len(left), max(scores), max(places))


class ByTorchvision:
    """The same weights in torchvision's own network, picture by picture, with nothing of ours."""

    def __init__(self, folder: Path, architecture: str) -> None:
        numbers = published_weights(architecture).preprocessing
        told = yaml.safe_load((folder / MANIFEST_FILE).read_text())["preprocessing"]
        self.numbers = replace(numbers, resize=_sides(told["resize"]), crop=_sides(told["crop"]))
        self._network = _plain(architecture, self.numbers).eval()
        self._network.load_state_dict(torch.load(folder / "weights.pth", weights_only=True))

    def boxes(self, pixels: Pixels) -> list[Detected]:
        """Return the boxes of a picture, by falling score, in its pixels."""
        with torch.inference_mode():
            (found,) = self._network([as_input(pixels, self.numbers)])
        height, width = pixels.shape[:2]
        high, wide = resized(pixels, self.numbers)
        limits = torch.tensor([width, height] * 2)
        boxes = (found["boxes"] * (limits / torch.tensor([wide, high] * 2))).clamp(min=0).minimum(limits)
        rows = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
        kept = [Detected(i, "", score, Box(*box)) for box, score, i in rows if score >= THRESHOLD and i > 0][:MOST]
        return [each for each in kept if each.box.area > 0]

    def classes(self, pixels: Pixels) -> Pixels:
        """Return the class of each place of a picture, at the resolution of the network's output."""
        with torch.inference_mode():
            found = self._network(as_input(pixels, self.numbers)[None])["out"].argmax(dim=1)[0]
        high, wide = resized(pixels, self.numbers)
        return np.asarray(found[:high, :wide].numpy(), np.uint8)


def as_input(pixels: Pixels, numbers: Preprocessing) -> torch.Tensor:
    """Return a picture as the network takes it, (3, height, width), prepared by torchvision's functions alone."""
    whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    scaled = functional.resize(whole, list(resized(pixels, numbers)), antialias=numbers.antialias)
    high, wide = numbers.crop_size
    padded = functional.pad(scaled, [0, 0, wide - scaled.shape[2], high - scaled.shape[1]])
    normalised: torch.Tensor = functional.normalize(padded / 255, numbers.mean, numbers.std)
    return normalised


def resized(pixels: Pixels, numbers: Preprocessing) -> tuple[int, int]:
    """Return the (height, width) of a picture in the input."""
    (height, width), (high, wide) = pixels.shape[:2], numbers.crop_size
    if not numbers.pad:
        return high, wide
    # The limiting side is that of the input; the other one is rounded down, and hardly ever a whole number.
    return (int(height * wide / width), wide) if wide / width < high / height else (high, int(width * high / height))


def _plain(architecture: str, numbers: Preprocessing) -> Any:
    published = published_weights(architecture)
    sizes = {}
    if published.task == "detect" and numbers.pad:
        sizes = {"min_size": min(numbers.crop_size), "max_size": max(numbers.crop_size)}
    return get_model(architecture, weights=None, weights_backbone=None, num_classes=len(published.labels), **sizes)


def _score_layers(network: nn.Module, classes: int) -> list[Any]:
    """Return the layers that give the scores: the last one of each branch with such a name."""
    layers: dict[str, nn.Module] = {}
    for name, layer in network.named_modules():
        part = next((part for part in _SCORES if part in name), None)
        if part is None or name.startswith("rpn.") or not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if layer.bias is None or layer.bias.numel() % classes:
            continue
        before, _, after = name.partition(f"{part}.")
        branch = after.split(".")[1] if after.startswith("module_list.") else after if "_classifier" in after else ""
        layers[f"{before}{part}.{branch}"] = layer
    return list(layers.values())


@contextmanager
def _learning_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation learn its statistics from what it sees meanwhile."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.train()
        layer.momentum = None  # statistics of all pictures, not a moving average
    yield
    network.eval()


@contextmanager
def _output_of(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    yield outputs
    hook.remove()


def _sides(told: int | list[int]) -> int | tuple[int, int]:
    return told if isinstance(told, int) else (told[0], told[1])
