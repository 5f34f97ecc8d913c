"""Which tensors of a file belong to a network? People save them in wrappers, with others, and under longer names."""

import argparse
import datetime as dt
import io
import pathlib
import re
import types
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torchvision.models import MNASNet  # type: ignore[import-untyped]

from worker.domain.errors import ModelUnavailable
from worker.models.file_kinds import SAFETENSORS, WEIGHTS, kind_of

TOP: Final = "."
"""The place of what is in no other mapping and has no longer names."""
_NAMED: Final = 3
"""The most names in a message: a network has hundreds."""
_DEPTH: Final = 4
_MNASNET: Final[int] = MNASNet._version  # noqa: SLF001 - where torch keeps it
_SHARE: Final = 0.5
"""Of a network's names: a mapping with fewer of them is of something else."""

_NUMPY_TYPES: Final = [type(np.dtype(code)) for code in "?bhilqBHILQefdFDSU"]
_NUMPY_PARTS: Final = {
    "scalar": np._core.multiarray.scalar,  # type: ignore[attr-defined]  # noqa: SLF001 - as pickles name it
    "_reconstruct": np._core.multiarray._reconstruct,  # type: ignore[attr-defined]  # noqa: SLF001
}
_HARMLESS: Final[list[Any]] = [
    argparse.Namespace,
    types.SimpleNamespace,
    (lambda *_: {}, "collections.defaultdict"),  # torch fills plain dicts alone
    *(dt.date, dt.datetime, dt.timedelta, dt.timezone),
    *(list, dict, int, float, range, slice),
    *((pathlib.PurePosixPath, f"{module}.PosixPath") for module in ("pathlib", "pathlib._local")),
    *((pathlib.PureWindowsPath, f"{module}.WindowsPath") for module in ("pathlib", "pathlib._local")),
    *(pathlib.PurePosixPath, pathlib.PureWindowsPath),
    torch.torch_version.TorchVersion,
    *(np.dtype, np.ndarray, *_NUMPY_TYPES),
    *(
        (part, f"{module}.multiarray.{name}")
        for name, part in _NUMPY_PARTS.items()
        for module in ("numpy.core", "numpy._core")
    ),
]
"""Types that checkpoints contain in addition to tensors: options, numbers, times and paths. None of them runs code of
the file."""

_WRAPPERS: Final = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)")
"""Names that torch.compile, FSDP and activation checkpointing put in between, at any place."""
_OLD_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
"""torchvision's DenseNet files still have the names of 2017, such as "denselayer1.norm.1" for "denselayer1.norm1"."""
_COUNTERS: Final = re.compile(r"(?:^|\.)(?:num_batches_tracked|total_ops|total_params|n_averaged)$")
"""Tensors on which no answer depends: of batch norms, of thop's counts, and of averaged weights."""
_BESIDE: Final = re.compile(r"^\w*(?:criterion|loss|metric)\w*\.")
"""Matches names of tensors that only training needs, and that are saved with the network."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One mapping from names to tensors.

    Attributes:
        place: the keys that lead to it, and what all its names began with, joined by dots.
        versions: of modules by name, as `state_dict` has them in `_metadata`.
        others: names of other tensors in the same mapping, which may be parts of the same network.
    """

    place: str
    tensors: Mapping[str, torch.Tensor]
    versions: Mapping[str, Any]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fault:
    """How weights do not fit: one line for each way, and the number of tensors concerned."""

    lines: tuple[str, ...] = ()
    count: int = 0


def read_checkpoint(data: bytes, what: str) -> object:
    """Read a file of `torch.save` or a safetensors file.

    Nothing is unpickled but tensors, plain values, and what is in the list of harmless types above.

    Args:
        data: the file's content.
        what: the file's name, for messages.

    Raises:
        ModelUnavailable: the file is of another kind, or damaged.
    """
    kind = kind_of(data)
    if kind not in WEIGHTS:
        raise ModelUnavailable(f"{what} is {kind.what}, not weights: {kind.remedy}")
    try:
        if kind is SAFETENSORS:
            return safetensors.torch.load(data)
        with torch.serialization.safe_globals(_HARMLESS):
            found: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelUnavailable(_unreadable(data, what, error)) from error
    return found


def weights_in(found: object, what: str) -> list[Weights]:
    """Find all mappings with tensors in what a checkpoint holds, the outermost ones first.

    Raises:
        ModelUnavailable: there is none.
    """
    mappings = list(_mappings(found))
    if not mappings:
        raise ModelUnavailable(
            f"{what} has no mapping from names to tensors, but a {type(found).__name__}: save the weights with "
            "torch.save(network.state_dict(), FILE)"
        )
    return mappings


def load_weights(
    network: nn.Module, data: bytes, what: str, *, name: str, entry: str | None, dropped: tuple[str, ...]
) -> None:
    """Load the one mapping of a file whose names, less what all of them begin with, are the network's.

    Args:
        network: is changed in place.
        data: the file's content.
        what: the file's name, for messages.
        name: of the network, for messages.
        entry: the place of the mapping, where a file has several that fit.
        dropped: how names begin that the file may have and that the network has no place for.

    Raises:
        ModelUnavailable: no mapping fits, or several do.
    """
    mappings = weights_in(read_checkpoint(data, what), what)
    found = _chosen(
        candidates(mappings, network.state_dict()), entry, mappings, f"{what} is not a state dict of {name}"
    )
    faults = {weights.place: _load(network, weights, dropped) for weights in found}
    fitting = [weights for weights in found if not faults[weights.place].count]
    if len(fitting) > 1:
        places = " and ".join(weights.place for weights in fitting[:_NAMED])
        raise ModelUnavailable(
            f"{what} has {len(fitting)} mappings that fit, {places}: say which one is meant, such as weights_entry: "
            f'"{fitting[0].place}" in the manifest'
        )
    if not fitting:
        place, fault = min(faults.items(), key=lambda each: each[1].count)
        size = ", and image_size in arguments" if "pos_embedding" in str(fault.lines) else ""
        where = "" if place == TOP else f"at {place!r}, "
        raise ModelUnavailable(
            f"{what} is not a state dict of {name}: {where}{'; '.join(fault.lines)}: check that architecture, "
            f"arguments and the number of labels are those of the training{size}"
        )
    (weights,) = fitting
    if weights.others and entry != weights.place:
        raise ModelUnavailable(
            f"{what} has {_some(weights.others)} beside the tensors of {name}: if these are no part of the network, "
            f'write weights_entry: "{weights.place}" in the manifest; else give the whole network as a program'
        )
    if len(found) > 1:
        _load(network, weights, dropped)


def weights_to_begin_with(network: nn.Module, data: bytes, what: str) -> Mapping[str, torch.Tensor]:
    """Return the one mapping of a file that has most of a network's names, for a training that replaces the rest.

    Args:
        network: may be without memory, on the device `meta`.
        data: the file's content.
        what: the file's name, for messages.

    Raises:
        ModelUnavailable: there is none, or there are several.
    """
    mappings = weights_in(read_checkpoint(data, what), what)
    found = _chosen(
        candidates(mappings, network.state_dict()), None, mappings, f"{what}: these weights are of another network"
    )
    if len(found) > 1:
        places = " and ".join(weights.place for weights in found[:_NAMED])
        raise ModelUnavailable(f"{what} has several mappings that fit, {places}: save one of them in a file of its own")
    return found[0].tensors


def as_safetensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as the content of a safetensors file; equal tensors give equal bytes."""
    return safetensors.torch.save({name: each.contiguous() for name, each in tensors.items()})


def _unreadable(data: bytes, what: str, error: Exception) -> str:
    unsafe = re.findall(r"GLOBAL (\S+)", str(error))
    if not unsafe:
        return f"{what} cannot be read ({str(error).splitlines()[0]}): copy or download it again"
    if data.startswith(b"PK"):
        with torch.serialization.safe_globals(_HARMLESS):
            unsafe = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data)))
    return (
        f"{what} holds objects that are no tensors, such as a whole network ({_some(unsafe)}), and the worker runs no "
        "code of a file: load it where it was made, and save the weights alone: torch.save(network.state_dict(), FILE)"
    )


def _mappings(found: object, place: str = "", depth: int = 0) -> Iterator[Weights]:
    """Find mappings with tensors, the outermost ones first."""
    if depth > _DEPTH:
        return
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(found, Mapping):
        items = list(found.items())
        tensors = {name: each for name, each in items if isinstance(name, str) and isinstance(each, torch.Tensor)}
        if tensors:
            yield Weights(place, *_unwrapped(tensors, getattr(found, "_metadata", {})))
    elif isinstance(found, list | tuple):
        items = list(enumerate(found))
    for key, each in items:
        if isinstance(each, Mapping | list | tuple):
            yield from _mappings(each, f"{place}.{key}".lstrip("."), depth + 1)


def _unwrapped(
    tensors: Mapping[str, torch.Tensor], versions: Mapping[str, Any]
) -> tuple[Mapping[str, torch.Tensor], Mapping[str, Any]]:
    """Shorten names that have grown since the network was built, unless two would become one."""
    shorter = {_OLD_DENSENET.sub(r"\1", _WRAPPERS.sub("", name)): each for name, each in tensors.items()}
    if len(shorter) < len(tensors):
        return tensors, versions
    return shorter, {_WRAPPERS.sub("", name).rstrip("."): each for name, each in versions.items()}


def candidates(mappings: Sequence[Weights], wanted: Collection[str]) -> list[Weights]:
    """Return what has at least half of the names of a network's tensors, less what all of them begin with."""
    found = []
    for weights in mappings:
        names = [name.split(".") for name in weights.tensors]
        counts = Counter(
            ".".join(parts[:cut]) for parts in names for cut in range(len(parts)) if ".".join(parts[cut:]) in wanted
        )
        found += [_below(weights, start) for start, count in counts.items() if count >= _SHARE * len(wanted)]
    return found


def _below(weights: Weights, start: str) -> Weights:
    """Return the part of a mapping whose names begin with a word, without that word."""
    begins = f"{start}." if start else ""
    others = [name for name in weights.tensors if not name.startswith(begins)]
    return Weights(
        ".".join(filter(None, (weights.place, start))) or TOP,
        {name.removeprefix(begins): each for name, each in weights.tensors.items() if name.startswith(begins)},
        {name[len(begins) :]: each for name, each in weights.versions.items() if f"{name}.".startswith(begins or name)},
        tuple(name for name in others if not is_of_training(name)),
    )


def _chosen(found: list[Weights], entry: str | None, mappings: Sequence[Weights], fault: str) -> list[Weights]:
    if entry is not None:
        # A mapping may be named without the word that all its names begin with.
        exact = [weights for weights in found if weights.place == entry]
        found = exact or [weights for weights in found if f"{weights.place}.".startswith(f"{entry}.")]
    if found:
        return found
    largest = sorted(mappings, key=lambda each: -len(each.tensors))
    there = "; ".join(
        f"{each.place or TOP!r} has {len(each.tensors)}, such as {next(iter(each.tensors))}"
        for each in largest[:_NAMED]
    )
    told, remedy = (f" at weights_entry {entry!r}", "correct weights_entry, or ") if entry else ("", "")
    raise ModelUnavailable(
        f"{fault}: no mapping{told} has at least half of its names; {there}: {remedy}check that architecture is the "
        "network that was trained"
    )


def _load(network: nn.Module, weights: Weights, dropped: tuple[str, ...]) -> _Fault:
    """Load weights, and say what does not fit; then the network has parts of them."""
    wanted = network.state_dict().keys()
    state: OrderedDict[str, torch.Tensor] = OrderedDict(
        (name, each)
        for name, each in weights.tensors.items()
        if name in wanted or not (name.startswith(dropped) or is_of_training(name))
    )
    # Modules change the names of older versions. MNASNet alone refuses weights that have lost their version.
    newest = {name: {"version": _MNASNET} for name, each in network.named_modules() if isinstance(each, MNASNet)}
    vars(state)["_metadata"] = newest | dict(weights.versions)
    try:
        missing, beyond = network.load_state_dict(state, strict=False)
        refused = ""
    except (RuntimeError, ValueError) as error:
        missing, beyond, refused = [], [], str(error)
    missing = [name for name in missing if not _COUNTERS.search(name)]
    unlike = _unlike(network, state)
    lines = {
        f"it lacks {_some(missing)}": missing,
        f"it has beyond the network {_some(beyond)}": beyond,
        f"{_some(unlike)}": unlike,
    }
    faults = tuple(line for line, names in lines.items() if names)
    if refused and not unlike:
        faults += (refused.splitlines()[0],)
    return _Fault(faults, sum(map(len, lines.values())) + bool(refused))


def is_of_training(name: str) -> bool:
    """Tell whether no answer of a network depends on the tensor with this name."""
    return bool(_COUNTERS.search(name) or _BESIDE.match(name))


def _unlike(network: nn.Module, state: Mapping[str, torch.Tensor]) -> list[str]:
    """Describe tensors of another shape, and whole numbers in the place of floating ones: torch would copy these."""
    own = network.state_dict()
    pairs = [(name, each, own[name]) for name, each in state.items() if name in own]
    shapes = [
        f"{name} is {tuple(each.shape)} in the file and {tuple(mine.shape)} in the network"
        for name, each, mine in pairs
        if each.shape != mine.shape
    ]
    return shapes + [
        f"{name} is of type {each.dtype} in the file"
        for name, each, mine in pairs
        if mine.is_floating_point() and not each.is_floating_point()
    ]


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
