"""The models of the benchmark: torchvision's networks with generated weights, and a model that does almost nothing.

A network's speed does not depend on its weights, unless they are denormal numbers. So the weights are torchvision's
initial weights for training, with a fixed seed, and batch normalisation has seen real frames, which keeps all
activations in a usual range. The answers of such a model mean nothing. To compare the answers of two engines, use real
weights, as the part `agreement` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]

from tests.benchmarks.frames import USUAL, pictures
from worker.local.samples import PHOTOGRAPHS
from worker.models.manifest import MANIFEST_FILE, write_manifest
from worker.models.store import cache_folder, make_folder_once
from worker.models.torchvision_weights import published_weights

WEIGHTS: Final = "IMAGENET1K_V1"
"""The published weights of torchvision whose preprocessing and class names are used."""


@dataclass(frozen=True, slots=True)
class TimedModel:
    """A model of the benchmark.

    Attributes:
        name: the name of its role.
        architecture: torchvision's name, None for a program.
        file: its weights or program, in the folder of its manifest.
    """

    name: str
    architecture: str | None
    folder: Path
    file: Path


def light() -> TimedModel:
    """Return MobileNetV3-Small, which costs about as much as decoding a frame."""
    return _network("light", "mobilenet_v3_small")


def heavy() -> TimedModel:
    """Return ResNet-50, which costs much more than all other work."""
    return _network("heavy", "resnet50")


def null() -> TimedModel:
    """Return a program that computes means of the pixels: what remains is the cost of everything but the model."""
    folder = _make_once("null", _fill_null)
    return TimedModel("null", None, folder, folder / "program.pt2")


class Means(nn.Module):
    """Five classes from three means."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (batch, 5), given normalised RGB (batch, 3, height, width)."""
        means = pixels.mean((2, 3))
        return torch.cat([means, means[:, :2]], 1)


def _network(name: str, architecture: str) -> TimedModel:
    folder = _make_once(architecture, lambda folder: _fill_network(architecture, folder))
    return TimedModel(name, architecture, folder, folder / "weights.pth")


def _fill_network(architecture: str, folder: Path) -> None:
    published = published_weights(architecture, WEIGHTS)
    torch.manual_seed(1)
    network = get_model(architecture)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of all frames, not a moving average
    transform = get_model_weights(architecture)[WEIGHTS].transforms()
    seen = [_decoded(camera[0]) for camera in pictures(USUAL)]
    with torch.no_grad():
        network.train()(torch.stack([transform(each) for each in seen]))
    torch.save(network.state_dict(), folder / "weights.pth")
    network_fields = {"name": f"bench-{architecture}", "architecture": architecture, "weights": "weights.pth"}
    write_manifest(folder, network_fields, labels=published.labels, preprocessing=published.preprocessing)


def _fill_null(folder: Path) -> None:
    example = torch.zeros(2, 3, 224, 224).to(memory_format=torch.channels_last)
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(Means().eval(), (example,), dynamic_shapes=any_batch), folder / "program.pt2")
    labels = [photograph.label for photograph in PHOTOGRAPHS]
    preprocessing = published_weights("mobilenet_v3_small", WEIGHTS).preprocessing
    network_fields = {"name": "bench-null", "program": "program.pt2"}
    write_manifest(folder, network_fields, labels=labels, preprocessing=preprocessing)


def _decoded(jpeg: bytes) -> torch.Tensor:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _make_once(name: str, fill: Callable[[Path], None]) -> Path:
    """Create the folder on first use; it stays in the cache, so that converted models are kept too."""
    folder = cache_folder() / "bench" / f"torch-{version('torch')}" / name
    return make_folder_once(folder, fill, holds=MANIFEST_FILE)
