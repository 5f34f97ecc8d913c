"""Which of torchvision's networks do weights belong to? The names and shapes of their tensors tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Final, NamedTuple

from worker.domain.errors import ModelUnavailable
from worker.models.checkpoints import Weights, candidates, is_of_training
from worker.models.classifiers import AUXILIARIES
from worker.models.manifest_fields import TaskName
from worker.models.outlines import Head, Outline, Shapes, head_of, outline

_COLOURS: Final = 3
_ONLY_TRAINING: Final = (*AUXILIARIES, "aux_classifier.")
_POSITIONS: Final = "encoder.pos_embedding"
"""The tensor of a vision transformer whose shape depends on the size of pictures."""
_PATCHES: Final = "conv_proj.weight"
"""The tensor of a vision transformer whose last dimension is the side of a patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A network, all of whose tensors are in a file with the right shapes.

    Attributes:
        architecture: torchvision's name of the network.
        task: what it is for.
        place: where in the file its weights are, as in the manifest's `weights_entry`.
        others: names of other tensors in the same mapping, which may be parts of a network that has it within.
        names: of its tensors, without counters.
        classes: the number of scores that it gives; of a detector or a segmenter, the background is one of them.
        arguments: what torchvision's builder has to be given for these shapes.
        grey: whether its first convolution takes one channel.
        renamed: the names of tensors in the file whose names differ from those of the network, and the network's.
    """

    architecture: str
    task: TaskName
    place: str
    others: tuple[str, ...]
    names: frozenset[str]
    classes: int
    arguments: Mapping[str, Any]
    grey: bool
    renamed: Mapping[str, str]

    @property
    def tensors(self) -> int:
        """The number of tensors, without counters."""
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A network that some of a file's tensors fit.

    Attributes:
        architecture: torchvision's name of the network.
        fitting: the number of its tensors that are in the file with the right shape.
        tensors: the number of its tensors.
        missing: the names of those that the file lacks.
        beyond: the names of the file's tensors that the network has no place for.
        unlike: a line for each tensor with another shape.
    """

    architecture: str
    fitting: int
    tensors: int
    missing: Sequence[str]
    beyond: Sequence[str]
    unlike: Sequence[str]

    @property
    def share(self) -> float:
        """The share of all tensors of both sides that fit, from 0 to 1."""
        return self.fitting / (self.tensors + len(self.beyond))


class Guess(NamedTuple):
    """What was found for the mappings of a file.

    Attributes:
        fits: of the networks that fit completely, in the order in which they were tried.
        nearest: of the others, the one with the highest share; None if no network has half of the names.
    """

    fits: Sequence[Fit]
    nearest: Miss | None


def guess(mappings: Sequence[Weights], architectures: Sequence[str], arguments: Mapping[str, Any]) -> Guess:
    """Compare the mappings of a file with networks.

    Args:
        mappings: of the file.
        architectures: torchvision's names of the networks; trying all of them takes some seconds.
        arguments: of torchvision's builder; a network that does not take them does not fit.
    """
    found = list(_compared(mappings, architectures, arguments))
    misses = [each for each in found if isinstance(each, Miss)]
    nearest = max(misses, key=lambda each: each.share, default=None)
    return Guess([each for each in found if isinstance(each, Fit)], nearest and _but_for_its_head(nearest, arguments))


def _but_for_its_head(miss: Miss, arguments: Mapping[str, Any]) -> Miss:
    """Leave the head out of what differs: it has another shape with each number of classes."""
    head = head_of(outline(miss.architecture, **arguments), **arguments).names
    unlike = [line for line in miss.unlike if line.partition(" ")[0] not in head]
    return replace(miss, unlike=unlike, fitting=miss.fitting + len(miss.unlike) - len(unlike))


def _compared(
    mappings: Sequence[Weights], architectures: Sequence[str], arguments: Mapping[str, Any]
) -> Iterator[Fit | Miss]:
    for architecture in architectures:
        try:
            network = outline(architecture, **arguments)
        except ModelUnavailable:
            if len(architectures) == 1:
                raise
            continue
        for weights in candidates(mappings, network.shapes):
            yield _compare(network, weights, arguments)


def _compare(network: Outline, weights: Weights, arguments: Mapping[str, Any]) -> Fit | Miss:
    shapes = {name: tuple(each.shape) for name, each in weights.tensors.items() if _counts(name, network)}
    if "image_size" not in arguments and (size := _picture_size(network.shapes, shapes)):
        arguments = {**arguments, "image_size": size}
        network = outline(network.architecture, **arguments)
    wanted = {name: shape for name, shape in network.shapes.items() if not is_of_training(name)}
    missing, beyond = wanted.keys() - shapes.keys(), shapes.keys() - wanted.keys()
    if len(missing) > 2 or len(missing) != len(beyond):  # a head has two tensors
        return _miss(network, wanted, shapes)
    head = head_of(network, **arguments)
    renamed = _renamed(head, sorted(missing), sorted(beyond))
    named = {renamed.get(name, name): shape for name, shape in shapes.items()}
    if named.keys() != wanted.keys() or (classes := head.classes(named)) is None:
        return _miss(network, wanted, shapes)
    body = {name: shape for name, shape in wanted.items() if name not in head.names}
    grey = _is_grey(body, named)
    if any(shape != named[name] for name, shape in (grey or body).items()):
        return _miss(network, wanted, shapes)
    return Fit(
        architecture=network.architecture,
        task=network.task,
        place=weights.place,
        others=weights.others,
        names=frozenset(wanted),
        classes=classes,
        arguments=arguments,
        grey=grey is not None,
        renamed=renamed,
    )


def _counts(name: str, network: Outline) -> bool:
    """Tell whether a tensor matters: neither a counter nor a part that only training needs."""
    return not is_of_training(name) and (name in network.shapes or not name.startswith(_ONLY_TRAINING))


def _picture_size(network: Shapes, found: Shapes) -> int | None:
    """Return the side of a vision transformer's pictures, if it is another than the usual one."""
    positions, patches = found.get(_POSITIONS), found.get(_PATCHES)
    if positions is None or patches is None or len(positions) != 3 or positions == network.get(_POSITIONS):
        return None
    count = positions[1] - 1  # one position is that of the class token
    side = isqrt(max(count, 0))
    return side * patches[-1] if side and side * side == count else None


def _renamed(head: Head, missing: Sequence[str], beyond: Sequence[str]) -> Mapping[str, str]:
    """Pair the tensors of a head with those of a file that has it within an `nn.Sequential`, or without one.

    The first word of their names has to be the same, and so has the number of features that they take.
    """
    pairs = {
        theirs: own
        for own in missing
        for theirs in beyond
        if own in head.names and _last(own) == _last(theirs) and own.partition(".")[0] == theirs.partition(".")[0]
    }
    return pairs if len(pairs) == len(missing) == len(set(pairs.values())) else {}


def _is_grey(body: Shapes, found: Shapes) -> Shapes | None:
    """Return the shapes of a network for grey pictures, if the file's first convolution takes one channel."""
    first = next((name for name, shape in body.items() if len(shape) > 3 and shape[1] == _COLOURS), None)
    if first is None or len(found[first]) != len(body[first]) or found[first][1] != 1:
        return None
    return {**body, first: (body[first][0], 1, *body[first][2:])}


def _miss(network: Outline, wanted: Shapes, found: Shapes) -> Miss:
    both = wanted.keys() & found.keys()
    unlike = [name for name in wanted if name in both and wanted[name] != found[name]]
    return Miss(
        architecture=network.architecture,
        fitting=len(both) - len(unlike),
        tensors=len(wanted),
        missing=[name for name in wanted if name not in found],
        beyond=[name for name in found if name not in wanted],
        unlike=[f"{name} is {found[name]} and not {wanted[name]}" for name in unlike],
    )


def _last(name: str) -> str:
    return name.rpartition(".")[2]
