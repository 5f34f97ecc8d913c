"""What does a checkpoint say apart from its tensors? Trainings write down class names, the network's name, sizes."""

import argparse
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch

from worker.models.labels import LabelsFault, labels_of

_DEPTH: Final = 3
_LABELS: Final = frozenset(
    [
        "class_to_idx",
        "idx_to_class",
        "idx2label",
        "id2label",
        "label2id",
        "classes",
        "class_names",
        "label_names",
        "labels",
        "names",
        "categories",
    ]
)
_NETWORKS: Final = frozenset({"arch", "architecture", "model", "model_name", "backbone", "network"})
_RESIZE: Final = frozenset({"val_resize_size", "resize_size", "resize"})
_CROP: Final = frozenset({"val_crop_size", "crop_size", "crop"})
_SIZE: Final = frozenset({"img_size", "image_size", "input_size", "imgsz", "img_dim", "image_dim", "resolution"})
_STATISTICS: Final = frozenset({"mean", "std"})


class Note(NamedTuple):
    """Something that a checkpoint says.

    Attributes:
        place: the keys that lead to it, joined by dots.
        value: what it says.
    """

    place: str
    value: Any


@dataclass(frozen=True, slots=True)
class CheckpointNotes:
    """What a checkpoint says.

    Attributes:
        labels: class names by index; a checkpoint may have the same ones at several places.
        networks: names of networks.
        preprocessing: `resize`, `crop`, `mean`, `std` and `interpolation`, by these words, each with all that is said.
        sizes: of the network's input, (height, width); what was done to get it is not said.
    """

    labels: Sequence[Note]
    networks: Sequence[Note]
    preprocessing: Mapping[str, Sequence[Note]]
    sizes: Sequence[Note]


def notes_of(checkpoint: object) -> CheckpointNotes:
    """Read what a checkpoint says.

    Args:
        checkpoint: as `read_checkpoint` returns it.
    """
    notes = list(_notes(checkpoint, "", 0))
    return CheckpointNotes(
        labels=[
            Note(place, names) for place, value in notes if _last(place) in _LABELS and (names := _class_names(value))
        ],
        networks=[Note(place, value) for place, value in notes if _last(place) in _NETWORKS and isinstance(value, str)],
        preprocessing={
            "resize": _found(notes, _RESIZE, _sides),
            "crop": _found(notes, _CROP, _sides),
            "interpolation": _found(notes, {"interpolation"}, _interpolation),
            **{word: _found(notes, {word}, _statistics) for word in sorted(_STATISTICS)},
        },
        sizes=_found(notes, _SIZE, _square),
    )


def _notes(found: object, place: str, depth: int) -> Iterator[Note]:
    if isinstance(found, argparse.Namespace | types.SimpleNamespace):
        found = vars(found)
    if isinstance(found, torch.Tensor):
        return
    if place:
        yield Note(place, found)
    if isinstance(found, Mapping) and depth < _DEPTH:
        for key, each in found.items():
            if isinstance(key, str):
                yield from _notes(each, f"{place}.{key}".lstrip("."), depth + 1)


def _found(notes: Sequence[Note], words: Any, read: Any) -> list[Note]:
    return [Note(place, value) for place, told in notes if _last(place) in words and (value := read(told)) is not None]


def _class_names(value: object) -> tuple[str, ...] | None:
    """Return class names by index; None if these are none, such as the number of classes."""
    try:
        return labels_of(list(value) if isinstance(value, tuple) else value)
    except LabelsFault:
        return None


def _sides(value: object) -> int | tuple[int, int] | None:
    """Return the side of a square, or (height, width); sizes may come with the channels in front."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, list | tuple) and all(isinstance(each, int) for each in value):
        match [*value]:
            case [side] | [1 | 3, side]:
                return int(side)
            case [high, wide] | [1 | 3, high, wide]:
                return int(high), int(wide)
    return None


def _square(value: object) -> tuple[int, int] | None:
    sides = _sides(value)
    return (sides, sides) if isinstance(sides, int) else sides


def _statistics(value: object) -> tuple[float, ...] | None:
    """Return a number for each channel."""
    if (
        isinstance(value, list | tuple)
        and len(value) in {1, 3}
        and all(isinstance(each, int | float) for each in value)
    ):
        return tuple(map(float, value))
    return None


def _interpolation(value: object) -> str | None:
    return value if value in {"bilinear", "bicubic", "nearest", "nearest-exact"} else None


def _last(place: str) -> str:
    return place.rpartition(".")[2].lower()
