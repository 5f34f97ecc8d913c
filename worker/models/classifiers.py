"""torchvision's classifiers as parts: built by name, and the layer that gives the scores found and replaced."""

from typing import Any, Final

import torchvision  # type: ignore[import-untyped]
from torch import nn

from worker.domain.errors import ModelUnavailable
from worker.models.architectures import of_pictures

# These two networks spend seconds on random weights, and have classifiers in the middle, which help in training alone.
_LEAN: Final = {name: {"init_weights": False, "aux_logits": False} for name in ("googlenet", "inception_v3")}
AUXILIARIES: Final = ("aux1.", "aux2.", "AuxLogits.")
"""How the names of these classifiers' tensors begin; files may have them."""
_COLOURS: Final = 3
_CLASSES: Final = 1009
"""A number of classes that no other layer of these networks has as its outputs."""


def build_classifier(name: str, *, classes: int, **arguments: Any) -> nn.Module:
    """Build a classifier of pictures with random weights.

    Args:
        name: torchvision's name of it.
        classes: how many it tells apart.
        arguments: of torchvision's builder.

    Raises:
        ModelUnavailable: torchvision has no such classifier.
    """
    if name not in of_pictures():
        raise ModelUnavailable(f"torchvision has no classifier {name!r}; it has {', '.join(of_pictures())}")
    arguments |= _LEAN.get(name, {})
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **arguments)
    return network


def classifier_of(network: nn.Module, *, classes: int) -> str:
    """Return the name of the layer that gives the scores: the last one with an output for each class.

    >>> classifier_of(build_classifier("resnet18", classes=7), classes=7)
    'fc'

    Raises:
        ModelUnavailable: there is none.
    """
    found: list[str] = [name for name, each in network.named_modules() if _outputs(each) == classes]
    if not found:
        raise ModelUnavailable(f"the network has no layer with {classes} outputs")
    return found[-1]


def build_embedder(name: str, **arguments: Any) -> nn.Module:
    """Build a classifier of pictures without the layer that gives the scores, with random weights.

    Args:
        name: torchvision's name of it.
        arguments: of torchvision's builder.

    Raises:
        ModelUnavailable: torchvision has no such classifier.
    """
    network = build_classifier(name, classes=_CLASSES, **arguments)
    replace_module(network, classifier_of(network, classes=_CLASSES), nn.Identity())
    return network


def left_out(embedder: nn.Module) -> tuple[str, ...]:
    """Return how the names of the tensors begin that a classifier has, and what `build_embedder` makes of it has not.

    >>> left_out(build_embedder("resnet18"))
    ('fc.', 'aux1.', 'aux2.', 'AuxLogits.')
    """
    names = [name for name, layer in embedder.named_modules() if isinstance(layer, nn.Identity)]
    return (*(f"{name}." for name in names), *AUXILIARIES)


def take_grey(network: nn.Module) -> None:
    """Make a network take pictures with one channel: replace the convolution that sees the three, with random weights.

    Raises:
        ModelUnavailable: there is no such convolution.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and layer.in_channels == _COLOURS:
            names = ("out_channels", "kernel_size", "stride", "padding", "dilation")
            arguments = {each: getattr(layer, each) for each in names}
            replace_module(network, name, type(layer)(1, **arguments, bias=layer.bias is not None))
            return
    raise ModelUnavailable("the network has no convolution of three channels: set preprocessing.channels: rgb")


def replace_module(network: nn.Module, name: str, replacement: nn.Module) -> None:
    """Put another module in the place of the one with this name."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, replacement)


def _outputs(module: nn.Module) -> int | None:
    match module:
        case nn.Linear():
            return module.out_features
        case nn.Conv2d() | nn.Conv3d():
            return module.out_channels
    return None
