"""Load networks from files: weights for a torchvision architecture, or a complete `torch.export` program."""

import io
import re
from pathlib import Path
from typing import Final

import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import CnnRnnShape
from worker.models.architectures import for_task, tasks_of
from worker.models.classifiers import build_classifier, build_embedder, left_out, take_grey
from worker.models.cnn_rnn import CnnRnn
from worker.models.detectors import normalise_as_published
from worker.models.manifest_fields import TaskName
from worker.models.store import sha256_of_bytes

# torchvision's DenseNet files still have the names of 2017, such as "denselayer1.norm.1" for "denselayer1.norm1".
_OLD_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")


def load_network(
    file: Path,
    *,
    sha256: str,
    architecture: str | None,
    classes: int,
    task: TaskName = "classify",
    frames: int | None = None,
    shape: CnnRnnShape | None = None,
    channels: int = 3,
) -> nn.Module | ExportedProgram:
    """Load a network on the CPU, after checking the hash of its file.

    Weights are read with `weights_only=True`, and every tensor must fit the architecture. A program is different: a
    `.pt2` file may contain pickled objects. Its hash proves that it is the trusted file, not that it is safe.

    Args:
        file: a state dict, or a `.pt2` program.
        sha256: hash of the file, 64 hex digits.
        architecture: the name of the network that the state dict belongs to; None for a program.
        classes: number of classes of the network.
        task: what the network is for.
        frames: of a clip; None for a network of single pictures.
        shape: of the architecture `cnn_rnn`.
        channels: of a picture, 3 or 1.

    Raises:
        ModelUnavailable: the file is missing, has another hash, or does not fit the architecture.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{file} cannot be read: {error.strerror}; put the model's file there") from error
    found = sha256_of_bytes(data)
    if found != sha256:
        raise ModelUnavailable(
            f"{file} has sha256 {found}, but its manifest says {sha256}: get the file again, or correct the manifest"
        )
    if architecture is None:
        return _load_program(file, data, frames, channels)
    network = build_network(architecture, task=task, classes=classes, shape=shape, channels=channels)
    what = architecture if task == "embed" else f"{architecture} with {classes} classes"
    _load_weights(network, file, data, what, dropped=_dropped(network, task))
    if task == "detect":
        _check_finite(network, file)
        normalise_as_published(network, architecture, sha256)
    return network


def build_network(
    architecture: str, *, task: TaskName, classes: int, shape: CnnRnnShape | None = None, channels: int = 3
) -> nn.Module:
    """Build a network with random weights.

    Args:
        architecture: its name.
        task: what it is for.
        classes: how many it tells apart; of a detector or a segmenter, the background is one of them. Means nothing
            for the task `embed`.
        shape: of the architecture `cnn_rnn`.
        channels: of a picture: 3, or 1, for which the network's first layer is made anew.

    Raises:
        ModelUnavailable: there is no such network, or it is not for this task.
    """
    _check_architecture(architecture, task)
    network = _of_colours(architecture, task, classes, shape)
    if channels == 1:
        take_grey(network)
    return network


def _of_colours(architecture: str, task: TaskName, classes: int, shape: CnnRnnShape | None) -> nn.Module:
    """Build a network of pictures with three channels."""
    if shape is not None:
        return CnnRnn(shape, classes)
    if task == "embed":
        return build_embedder(architecture)
    if task in {"classify", "multi_label"}:
        return build_classifier(architecture, classes=classes)
    arguments = {"weights_backbone": None} if task in {"detect", "segment"} else {}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=classes, **arguments)
    return network


def _check_architecture(architecture: str, task: TaskName) -> None:
    if architecture in for_task(task):
        return
    if others := tasks_of(architecture):
        right = " or ".join(others)
        raise ModelUnavailable(
            f"architecture {architecture!r} is not for the task {task}: its manifest needs task: {right}"
        )
    known = ", ".join(for_task(task)) or "none: give a program"
    raise ModelUnavailable(f"architecture {architecture!r} is not known; for the task {task} there is {known}")


def _load_weights(network: nn.Module, file: Path, data: bytes, what: str, *, dropped: tuple[str, ...]) -> None:
    """Load a state dict, without the tensors whose names begin with one of `dropped`."""
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        named = ((_OLD_DENSENET.sub(r"\1", name), tensor) for name, tensor in state.items())
        network.load_state_dict({name: tensor for name, tensor in named if not name.startswith(dropped)}, strict=True)
    except Exception as error:
        raise ModelUnavailable(
            f"{file} is not a state dict of {what}: {error}\n"
            "Save one with torch.save(network.state_dict(), FILE), and check that architecture and labels match it"
        ) from error


def _check_finite(network: nn.Module, file: Path) -> None:
    """Refuse damaged weights: a detector would drop every box whose score is NaN, and find nothing without a word."""
    damaged = [name for name, each in network.state_dict().items() if not torch.isfinite(each).all()]
    if damaged:
        raise ModelUnavailable(f"{file} has NaN or infinity in {damaged[0]}: its weights are damaged, get them again")


def _dropped(network: nn.Module, task: TaskName) -> tuple[str, ...]:
    """Return how the names of those tensors of a file begin that the network of a task has no place for."""
    match task:
        case "embed":
            return left_out(network)
        case "segment":
            # Published weights have a second classifier, which helps in training alone.
            return ("aux_classifier.",)
        case _:
            return ()


def _load_program(file: Path, data: bytes, frames: int | None, channels: int) -> ExportedProgram:
    try:
        program = torch.export.load(io.BytesIO(data))
    except Exception as error:
        raise ModelUnavailable(f"torch {torch.__version__} cannot load the program {file}: {error}") from error
    inputs = program.graph_signature.user_inputs
    shapes = [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in inputs]
    match shapes:
        case [(torch.SymInt(), int(depth), int(), int())] if frames is None and depth == channels:
            return program
        case [(torch.SymInt(), int(depth), int(found), int(), int())] if (depth, found) == (channels, frames):
            return program
        case [(_, 1 | 3 as depth, *_)] if depth != channels:
            raise ModelUnavailable(
                f"the program {file} takes inputs of shape {shapes[0]}: set preprocessing.channels: "
                f"{'gray' if depth == 1 else 'rgb, or bgr,'} in its manifest"
            )
    wanted = (
        f"(batch, {channels}, height, width)" if frames is None else f"(batch, {channels}, {frames}, height, width)"
    )
    raise ModelUnavailable(
        f"{file} takes inputs of shape {shapes}, not one {wanted} with any batch size: export it with "
        "dynamic_shapes=({0: torch.export.Dim('batch', min=1)},)"
    )
