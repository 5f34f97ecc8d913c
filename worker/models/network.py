"""Load networks from files: weights for a torchvision architecture, or a complete `torch.export` program."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import CnnRnnShape
from worker.models.architectures import for_task, tasks_of
from worker.models.checkpoints import load_weights
from worker.models.classifiers import AUXILIARIES, build_classifier, build_embedder, left_out, take_grey
from worker.models.cnn_rnn import CnnRnn
from worker.models.detectors import normalise_as_published
from worker.models.file_kinds import PROGRAM, WEIGHTS, kind_of, kind_of_folder
from worker.models.manifest import Manifest
from worker.models.manifest_fields import TaskName
from worker.models.programs import load_program
from worker.models.store import sha256_of_bytes


def load_network(manifest: Manifest) -> nn.Module | ExportedProgram:
    """Load the network of a manifest on the CPU, after checking what its file is, and its hash.

    Weights are read with `weights_only=True`, and every tensor must fit the architecture. A program is different: a
    `.pt2` file may contain pickled objects. Its hash proves that it is the trusted file, not that it is safe.

    Raises:
        ModelUnavailable: the file is missing, is something else, has another hash, or does not fit the manifest.
    """
    file, architecture, task = manifest.file, manifest.architecture, manifest.task
    data = _read(file, program=architecture is None, sha256=manifest.sha256)
    if architecture is None:
        frames = manifest.clip.frames if manifest.clip else None
        return load_program(data, str(file), shape=manifest.preprocessing.picture_shape, frames=frames)
    network = build_network(
        architecture,
        task=task,
        classes=manifest.outputs,
        shape=manifest.network,
        arguments=manifest.arguments,
        channels=manifest.preprocessing.depth,
    )
    load_weights(
        network,
        data,
        str(file),
        name=architecture if task == "embed" else f"{architecture} with {_told(manifest.outputs)}",
        entry=manifest.weights_entry,
        dropped=_dropped(network, task),
    )
    _check_finite(network, file)
    _check_size(network, architecture, manifest.preprocessing.crop_size)
    if task == "detect":
        normalise_as_published(network, architecture, manifest.sha256)
    return network


def _told(outputs: int) -> str:
    return f"{outputs} classes" if outputs > 1 else "one output"


def read_network_file(file: Path) -> bytes:
    """Read a file with weights or a program: people copy pages and pointers instead of files.

    Raises:
        ModelUnavailable: it cannot be read, or is something else.
    """
    if file.is_dir():
        kind = kind_of_folder([each.name for each in file.iterdir()])
        raise ModelUnavailable(f"{file} is {kind.what}, not a file of a network: {kind.remedy}")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{file} cannot be read: {error.strerror}; put the model's file there") from error
    if (kind := kind_of(data)) not in {*WEIGHTS, PROGRAM}:
        raise ModelUnavailable(f"{file} is {kind.what}, not a file of a network: {kind.remedy}")
    return data


def _read(file: Path, *, program: bool, sha256: str) -> bytes:
    """Read a file, if it is what the manifest says."""
    data = read_network_file(file)
    kind, found = kind_of(data), sha256_of_bytes(data)
    if found != sha256:
        raise ModelUnavailable(
            f"{file} has sha256 {found}, but its manifest says {sha256}: get the file again, or correct the manifest"
        )
    if program != (kind is PROGRAM):
        raise ModelUnavailable(f"{file} is {kind.what}, not {'a program' if program else 'weights'}: {kind.remedy}")
    return data


def build_network(
    architecture: str,
    *,
    task: TaskName,
    classes: int,
    shape: CnnRnnShape | None = None,
    arguments: Mapping[str, Any] | None = None,
    channels: int = 3,
) -> nn.Module:
    """Build a network with random weights.

    Args:
        architecture: its name.
        task: what it is for.
        classes: how many it tells apart; of a detector or a segmenter, the background is one of them. Means nothing
            for the task `embed`.
        shape: of the architecture `cnn_rnn`.
        arguments: of torchvision's builder, such as `image_size`; of a `cnn_rnn`, of its backbone's builder.
        channels: of a picture: 3, or 1, for which the network's first layer is made anew.

    Raises:
        ModelUnavailable: there is no such network, it is not for this task, or it does not take these arguments.
    """
    _check_architecture(architecture, task)
    given = dict(arguments or {})
    try:
        network = _built(architecture, task, classes, shape, given)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if not given:
            raise
        raise ModelUnavailable(
            f"architecture {architecture} cannot be built with arguments {given} ({error}): correct arguments in the "
            f"manifest to what torchvision's builder takes"
        ) from error
    if channels == 1:
        take_grey(network)
    return network


def _built(
    architecture: str, task: TaskName, classes: int, shape: CnnRnnShape | None, given: Mapping[str, Any]
) -> nn.Module:
    if shape is not None:
        return CnnRnn(shape, classes, given)
    if task == "embed":
        return build_embedder(architecture, **given)
    if task in {"classify", "multi_label"}:
        return build_classifier(architecture, classes=classes, **given)
    backbone = {"weights_backbone": None} if task in {"detect", "segment"} else {}
    network: nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=classes, **backbone, **given
    )
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


def _check_finite(network: nn.Module, file: Path) -> None:
    """Refuse damaged weights: what they make of a picture need not be NaN. A detector would find nothing."""
    damaged = [name for name, each in network.state_dict().items() if not torch.isfinite(each).all()]
    if damaged:
        raise ModelUnavailable(f"{file} has NaN or infinity in {damaged[0]}: its weights are damaged, get them again")


def _check_size(network: nn.Module, architecture: str, size: tuple[int, int]) -> None:
    """Refuse a vision transformer for pictures of another size: it says so when it is built, not in its weights."""
    side = getattr(network, "image_size", None)
    if isinstance(side, int) and size != (side, side):
        raise ModelUnavailable(
            f"{architecture} is built for pictures of {side}x{side}, and preprocessing.crop says {size[0]}x{size[1]}: "
            f"correct preprocessing.crop, or write arguments: {{image_size: {size[0]}}} for weights of that size"
        )


def _dropped(network: nn.Module, task: TaskName) -> tuple[str, ...]:
    """Return how the names of those tensors of a file begin that the network of a task has no place for."""
    match task:
        case "embed":
            return left_out(network)
        case "classify" | "multi_label":
            return AUXILIARIES
        case "segment":
            # Published weights have a second classifier, which helps in training alone.
            return ("aux_classifier.",)
        case _:
            return ()
