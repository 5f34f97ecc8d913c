"""Models for tests: real models with a manifest, and tiny networks that fail on purpose."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torchvision  # type: ignore[import-untyped]
import yaml
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from worker.domain.clips import ClipShape
from worker.domain.frames import Image
from worker.domain.preprocessing import Output, Preprocessing
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.models.build import assemble, build_model
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest, load_manifest
from worker.models.manifest_fields import TaskName
from worker.models.network import load_network
from worker.models.ready import ready_model
from worker.models.store import sha256_of_file
from worker.models.torch_preparation import prepare_image
from worker.settings import ModelGroup

SMALL: Final = Preprocessing(
    resize=12, crop=8, interpolation="bilinear", antialias=True, mean=(0.5, 0.4, 0.3), std=(0.3, 0.4, 0.5)
)
SIZES: Final = ((480, 640), (640, 480), (720, 1280), (61, 97), (224, 224), (256, 341), (33, 900))
"""(height, width): landscape, portrait, large, smaller than the crop, exactly the crop, the resized size, a strip."""


def open_model(folder: Path, *, preprocessing: Preprocessing | None = None, **settings: Any) -> LoadedModel:
    """Load a model from its manifest, as the worker does."""
    manifest = load_manifest(folder)
    if preprocessing is not None:
        manifest = replace(manifest, preprocessing=preprocessing)
    # On shared cores, threads that wait for each other are ten times slower.
    return build_model(manifest, ModelGroup(path=folder, **{"threads": settings.get("streams", 1)} | settings))


def drawn_model(folder: Path, architecture: str) -> Path:
    """Write a model folder for one of torchvision's architectures, and return it.

    Its weights are random with a fixed seed, and chosen such that different pictures get different scores: with
    torchvision's initial weights for training, every picture would get the same scores.
    """
    torch.manual_seed(3)
    network = torchvision.models.get_model(architecture)
    _draw_weights(network)
    file = folder / f"{architecture}.pth"
    torch.save(network.state_dict(), file)
    return write_manifest(folder, _drawn_manifest(architecture, file, architecture=architecture, weights=file.name))


def drawn_beginning(folder: Path, architecture: str, *, blocks: int) -> Path:
    """Write a model folder for the first blocks of a network with as many channels, and return it.

    They are a program, with weights drawn as in `drawn_model`. All kinds of layers are there, and few of each, so that
    every engine converts them in seconds.
    """
    torch.manual_seed(3)
    first = torchvision.models.get_model(architecture).features[:blocks]
    channels = first(torch.zeros(2, 3, 224, 224)).shape[1]
    network = nn.Sequential(*first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)).eval()
    _draw_weights(network)
    file = folder / f"{architecture}.pt2"
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(network, (torch.zeros(2, 3, 224, 224),), dynamic_shapes=any_batch)
    torch.export.save(program, file)
    return write_manifest(folder, _drawn_manifest(f"{architecture}-{blocks}", file, program=file.name))


def _draw_weights(network: nn.Module) -> None:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight)
    layers[-1].weight.data *= 60


def _drawn_manifest(name: str, file: Path, **kind: str) -> dict[str, Any]:
    document = yaml.safe_load((ready_model("mobilenet_v2") / "model.yaml").read_text())
    del document["architecture"], document["weights"]
    labels = [str(number) for number in range(1000)]
    return {**document, "name": name, "sha256": sha256_of_file(file), "labels": labels, **kind}


def small_model(
    network: nn.Module | ExportedProgram,
    *,
    output: Output = "logits",
    classes: int = 4,
    preprocessing: Preprocessing = SMALL,
    task: TaskName = "classify",
    clip: ClipShape | None = None,
    labels: Sequence[str] = (),
    threshold: float = 0.5,
    **settings: Any,
) -> LoadedModel:
    """Wrap a network of 8x8 pixels, or of clips of as many."""
    manifest = file_manifest(
        Path("small.pt2"),
        labels=labels,
        classes=classes,
        preprocessing=preprocessing,
        task=task,
        clip=clip,
        output=output,
        threshold=threshold,
    )
    return assemble(network, manifest, ModelGroup(path=manifest.file, **settings))


def file_manifest(
    file: Path,
    *,
    architecture: str | None = None,
    classes: int = 4,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing = SMALL,
    **others: Any,
) -> Manifest:
    """Return the manifest of a file, with the file's hash unless another one is told; no file needs to be there."""
    fields: dict[str, Any] = {"task": "classify", "output": "logits", "exported_from": None}
    fields["sha256"] = sha256_of_file(file) if file.is_file() else "0" * 64
    return Manifest(
        name="small",
        architecture=architecture,
        file=file,
        labels=tuple(labels) or tuple(f"class {number}" for number in range(classes)),
        preprocessing=preprocessing,
        **fields | others,
    )


def load_file(file: Path, *, frames: int | None = None, **fields: Any) -> nn.Module | ExportedProgram:
    """Load a network from its file alone, as if a manifest named it; as of `file_manifest`."""
    clip = ClipShape(frames, 15.0) if frames else None
    return load_network(file_manifest(file, clip=clip, **fields))


def prepared(model: LoadedModel, *images: Image) -> NDArray[np.uint8]:
    """Return pictures as a batch for the model, (images, height, width, 3)."""
    pixels = np.empty((len(images), *model.input_shape), np.uint8)
    for image, out in zip(images, pixels, strict=True):
        prepare_image(image, out, model.preprocessing)
    return pixels


class Answering(nn.Module):
    """A network that returns the result of a function of its normalised input."""

    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, pixels: torch.Tensor) -> object:
        """Return the function's result."""
        return self.answer(pixels)


class Motion(nn.Module):
    """Four classes by a convolution over space and time; its weights are drawn."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.Sequential(nn.Conv3d(3, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.last = nn.Linear(5, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (batch, 4), given (batch, 3, frames, height, width)."""
        scores: torch.Tensor = self.last(self.layers(pixels)) * 6
        return scores


class Brightness(nn.Module):
    """A value for each frame: the logit grows with its brightness."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (batch, frames), given (batch, 3, frames, height, width)."""
        return pixels.mean(dim=(1, 3, 4))


def moving_clips(count: int, frames: int = 6) -> NDArray[np.uint8]:
    """Return clips of a camera that moves, (count, frames, 8, 8, 3)."""
    blocks = np.random.default_rng(2).integers(0, 256, (2 * count, frames + 2, 3), np.uint8)
    whole = np.kron(blocks, np.ones((4, 4, 1), np.uint8))
    return np.array(
        [[whole[8 * n : 8 * n + 8, 3 * t : 3 * t + 8] for t in range(frames)] for n in range(count)], np.uint8
    )


def photograph(name: str) -> Image:
    """Return one of the sample photographs."""
    return Image(load_photograph(next(each for each in PHOTOGRAPHS if each.name == name)))


def best_classes(model: LoadedModel, name: str) -> list[str]:
    """Return the classes that the model finds in a sample photograph, most likely first."""
    (indices,) = model.run(prepared(model, photograph(name)))["indices"]
    return [model.task.labels[index] for index in indices]


def small_manifest(**changes: Any) -> dict[str, Any]:
    """Return a valid manifest as a document; None removes a field, and `preprocessing` is merged."""
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
    """Write a manifest to a folder, and return the folder."""
    (folder / "model.yaml").write_text(yaml.safe_dump(document))
    return folder
