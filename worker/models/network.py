"""Networks from files: weights for a torchvision architecture, or a whole `torch.export` program."""

import io
import re
from pathlib import Path
from typing import Final

import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable
from worker.models.store import sha256_of_bytes

# Without this the two draw weights for seconds and warn of it, though every one of them is overwritten.
_ARGUMENTS: Final = {"googlenet": {"init_weights": False}, "inception_v3": {"init_weights": False}}
# torchvision's DenseNet files still carry the names of 2017, "denselayer1.norm.1" for "denselayer1.norm1".
_OLD_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")


def load_network(file: Path, *, sha256: str, architecture: str | None, classes: int) -> nn.Module | ExportedProgram:
    """Load a network, on the CPU, from bytes whose hash was checked.

    Weights are read with `weights_only=True` and must fit the architecture to the last tensor. A program is different:
    a `.pt2` file may hold pickled objects, so its hash says that it is the file that was trusted, not that it is safe.

    Args:
        file: a state dict, or a `.pt2` program.
        sha256: of the file, 64 hex digits.
        architecture: torchvision's name of the network the state dict belongs to; None for a program.
        classes: how many the network has.

    Raises:
        ModelUnavailable: the file is missing, is another one, or does not fit.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{file} cannot be read: {error.strerror}; put the model's file there") from error
    found = sha256_of_bytes(data)
    if found != sha256:
        raise ModelUnavailable(
            f"{file} has sha256 {found}, its manifest says {sha256}: fetch the file again, or correct the manifest"
        )
    if architecture is None:
        return _load_program(file, data)
    return _load_weights(file, data, architecture, classes)


def _load_weights(file: Path, data: bytes, architecture: str, classes: int) -> nn.Module:
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        raise ModelUnavailable(
            f"architecture {architecture!r} is no classifier of torchvision; it has {', '.join(known)}"
        )
    network: nn.Module = torchvision.models.get_model(
        architecture, weights=None, num_classes=classes, **_ARGUMENTS.get(architecture, {})
    )
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        network.load_state_dict({_OLD_DENSENET.sub(r"\1", name): tensor for name, tensor in state.items()}, strict=True)
    except Exception as error:
        raise ModelUnavailable(
            f"{file} is no state dict of {architecture} with {classes} classes: {error}\n"
            "Save one with torch.save(network.state_dict(), FILE), and see that architecture and labels belong to it"
        ) from error
    return network


def _load_program(file: Path, data: bytes) -> ExportedProgram:
    try:
        program = torch.export.load(io.BytesIO(data))
    except Exception as error:
        raise ModelUnavailable(f"{file} is no program that torch {torch.__version__} can load: {error}") from error
    inputs = program.graph_signature.user_inputs
    shapes = [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in inputs]
    match shapes:
        case [(torch.SymInt(), 3, int(), int())]:
            return program
    raise ModelUnavailable(
        f"{file} takes inputs of shape {shapes}, not one (batch, 3, height, width) of any batch: export it with "
        "dynamic_shapes=({0: torch.export.Dim('batch', min=1)},)"
    )
