"""Models for tests: real ones by manifest, and tiny networks that misbehave on purpose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from torch import nn
from torch.export import ExportedProgram

from worker.adapters.torch_files import load_network
from worker.adapters.torch_model import TorchModel
from worker.domain.frames import Image
from worker.domain.preprocessing import Output, Preprocessing
from worker.domain.results import ModelIdentity
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.manifest import load_manifest

SMALL: Final = Preprocessing(
    resize=12, crop=8, interpolation="bilinear", antialias=True, mean=(0.5, 0.4, 0.3), std=(0.3, 0.4, 0.5)
)
SIZES: Final = ((480, 640), (640, 480), (720, 1280), (61, 97), (224, 224), (256, 341), (33, 900))
"""(height, width): landscape, portrait, large, smaller than the crop, exactly the crop, the resized size, a strip."""


def open_model(folder: Path, **changes: Any) -> TorchModel:
    """Load a model by its manifest alone, as the worker does; `changes` replace what the manifest says."""
    manifest = load_manifest(folder)
    network = load_network(
        manifest.file, sha256=manifest.sha256, architecture=manifest.architecture, classes=len(manifest.labels)
    )
    said: dict[str, Any] = {
        "identity": manifest.identity,
        "labels": manifest.labels,
        "preprocessing": manifest.preprocessing,
        "output": manifest.output,
        "threads": 1,  # on shared cores, threads that wait for each other take ten times as long
    }
    return TorchModel(network, **said | changes)


def small_model(network: nn.Module | ExportedProgram, *, output: Output = "logits", classes: int = 4) -> TorchModel:
    """Wrap a network of 8x8 pixels."""
    labels = [f"class {number}" for number in range(classes)]
    return TorchModel(
        network, identity=ModelIdentity("small", "0" * 12), labels=labels, preprocessing=SMALL, output=output
    )


class Answering(nn.Module):
    """A network that answers whatever a function makes of its normalised input."""

    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, pixels: torch.Tensor) -> object:
        """Answer."""
        return self.answer(pixels)


def photograph(name: str) -> Image:
    """Return one of the sample photographs."""
    return Image(load_photograph(next(each for each in PHOTOGRAPHS if each.name == name)))


def best_class(model: TorchModel, name: str) -> str:
    """Return what the model sees in a sample photograph."""
    return model.labels[int(np.argmax(model.classify([model.prepare(photograph(name))])))]


def small_manifest(**changes: Any) -> dict[str, Any]:
    """Return a valid manifest as a document; a change to None takes the field away, `preprocessing` is merged."""
    numbers = {"resize": 12, "crop": 8, "interpolation": "bilinear", "antialias": True}
    numbers |= {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.4, 0.5]} | changes.pop("preprocessing", {})
    document = {
        "name": "small",
        "program": "small.pt2",
        "sha256": "a" * 64,
        "labels": ["one", "two", "two"],
        "preprocessing": numbers,
        "output": "logits",
    }
    return {name: value for name, value in (document | changes).items() if value is not None}


def write_manifest(folder: Path, document: object) -> Path:
    """Write a manifest into a folder, and return the folder."""
    (folder / "model.yaml").write_text(yaml.safe_dump(document))
    return folder
