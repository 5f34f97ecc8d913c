"""What tensors does each of torchvision's networks have? They are built without memory for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

from worker.models.architectures import of_clips, of_detectors, of_pictures, of_segmenters, tasks_of
from worker.models.manifest_fields import TaskName
from worker.models.network import build_network

_MAKERS: Final = frozenset({torch.empty, torch.zeros, torch.ones})
_CLASSES: Final = 7

Shapes = Mapping[str, tuple[int, ...]]
"""By the names of tensors."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The tensors of a network.

    Attributes:
        architecture: torchvision's name of the network.
        task: what it is for.
        shapes: of its tensors, for some number of classes.
    """

    architecture: str
    task: TaskName
    shapes: Shapes


@dataclass(frozen=True, slots=True)
class Head:
    """The tensors of a network whose shapes depend on the number of classes.

    Attributes:
        names: of these tensors.
        shapes: with `_CLASSES` classes.
        next_shapes: with one class more; all other numbers follow from these two.
    """

    names: Sequence[str]
    shapes: Shapes
    next_shapes: Shapes

    def classes(self, found: Shapes) -> int | None:
        """Return with how many classes the head has these shapes; None if there is no such number."""
        numbers = set[float]()
        for name in self.names:
            own, more, theirs = self.shapes[name], self.next_shapes[name], found[name]
            if len(own) != len(theirs) or any(a != c for a, b, c in zip(own, more, theirs, strict=True) if a == b):
                return None
            numbers |= {_CLASSES + (c - a) / (b - a) for a, b, c in zip(own, more, theirs, strict=True) if a != b}
        only = numbers.pop() if len(numbers) == 1 else 0.0
        return int(only) if only >= 1 and only.is_integer() else None


def names() -> list[str]:
    """Return the names of all networks, those that classify pictures first."""
    return [*of_pictures(), *of_clips(), *of_detectors(), *of_segmenters()]


@cache
def outline(architecture: str, **arguments: Any) -> Outline:
    """Build a network without memory for its tensors, which takes some hundredths of a second.

    Args:
        architecture: torchvision's name of it.
        arguments: of torchvision's builder.
    """
    task = tasks_of(architecture)[0]
    return Outline(architecture, task, _shapes(architecture, task, _CLASSES, arguments))


def head_of(found: Outline, **arguments: Any) -> Head:
    """Find the head of a network by building it with one class more.

    Args:
        found: the network.
        arguments: with which it was built.
    """
    more = _shapes(found.architecture, found.task, _CLASSES + 1, arguments)
    return Head([name for name, shape in found.shapes.items() if shape != more[name]], found.shapes, more)


def _shapes(architecture: str, task: TaskName, classes: int, arguments: Mapping[str, Any]) -> Shapes:
    with _WithoutMemory():
        network = build_network(architecture, task=task, classes=classes, arguments=arguments)
    return {name: tuple(each.shape) for name, each in network.state_dict().items()}


class _WithoutMemory(TorchFunctionMode):
    """Makes tensors on the device `meta`, but for numbers that builders read back, as those of RegNet do.

    Nothing is drawn into these tensors: most of the time would go into that.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in _MAKERS:
            return func(*args, **given | {"device": "meta"})
        first = next(iter((*args, *given.values())), None)
        in_place = func.__name__.endswith("_") and not func.__name__.endswith("__")
        if in_place and isinstance(first, torch.Tensor) and first.is_meta:
            return first
        return func(*args, **given)
