"""Where training begins: a network, what of it fits from weights that exist, and which part is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable, SettingsError, WorkerError
from worker.domain.networks import CNN_RNN, TRANSFORMING
from worker.domain.preprocessing import Preprocessing
from worker.domain.spelling import or_meant
from worker.models.architectures import for_task
from worker.models.checkpoints import weights_to_begin_with
from worker.models.classifiers import classifier_of
from worker.models.detectors import adapt_detector
from worker.models.manifest import MANIFEST_FILE, MOST_BOXES, Manifest, load_manifest
from worker.models.network import build_network, load_network
from worker.models.ready import ready_model
from worker.models.store import sha256_of_bytes
from worker.training.options import Options, is_path

State = Mapping[str, torch.Tensor]

_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_KINETICS: Final = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
_AS_IT_IS: Final = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""torchvision's detectors normalise by themselves."""
_SIDES: Final = {"classify": 224, "clip": 112, "recurrent": 112, "detect": 320}
_COUNTER: Final = "num_batches_tracked"
"""Counts training steps in a batch norm; older weights lack it, and nothing depends on it."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Weights to begin with, and what belongs to them.

    Attributes:
        state: the weights by name; empty to begin with random ones.
        of_backbone: whether they are those of a `cnn_rnn`'s backbone alone.
        preprocessing: which the network will be trained with.
        clip: what the weights were trained with, if they see time.
        origin: a sentence about where they are from.
        arguments: of torchvision's builder of the network, or of a `cnn_rnn`'s backbone.
    """

    state: State
    of_backbone: bool
    preprocessing: Preprocessing
    clip: ClipShape | None
    origin: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """A network that is ready to be trained.

    Attributes:
        head: the names of the modules that depend on the classes.
        random: names of weights that begin at random.
    """

    network: nn.Module
    head: tuple[str, ...]
    random: tuple[str, ...]


def find_beginning(options: Options) -> Beginning:
    """Find the weights that training begins with; published ones are downloaded on first use.

    Raises:
        SettingsError: the network is not for the task.
        ModelUnavailable: there are no such weights, or they cannot be downloaded.
    """
    if options.model not in for_task(options.task):
        known = for_task(options.task)
        advice = or_meant(options.model, known, otherwise=f"there is {', '.join(known)}")
        raise SettingsError([f"--model {options.model} is not for --task {options.task}; {advice}"])
    usual = _usual_preprocessing(options)
    if options.weights == "none":
        return Beginning(
            {},
            of_backbone=False,
            preprocessing=usual,
            clip=None,
            origin="random weights",
            arguments=_usual_arguments(options),
        )
    if is_path(options.weights):
        return _from_path(Path(options.weights), options, usual)
    try:
        return _published(options)
    except WorkerError as error:
        raise ModelUnavailable(
            f"{error}\nTo begin with random weights, give --weights none --layers all; or give --weights a file"
        ) from error


def start_network(options: Options, beginning: Beginning, classes: int) -> Started:
    """Build the network for new classes, load all that fits, and choose what is trained.

    Args:
        options: name the network, and whether all of it is trained.
        beginning: the weights.
        classes: how many; of a detector, the background is one of them.

    Raises:
        ModelUnavailable: the weights are of another network.
    """
    torch.manual_seed(options.seed)
    network = build_network(
        options.model,
        task=options.task,
        classes=classes,
        shape=options.shape,
        arguments=beginning.arguments,
        channels=beginning.preprocessing.depth,
    )
    if options.task == "detect":
        # Else it would learn from pictures of its own size, and be served those of the manifest's.
        adapt_detector(network, beginning.preprocessing.crop_size, threshold=1.0, most=MOST_BOXES)
    head = _head_of(network, options, classes)
    target, prefix = network, ""
    if beginning.of_backbone:
        target, prefix = _of_pictures(network)
    random = _load_fitting(target, beginning.state, head if not beginning.of_backbone else ())
    for name, weights in network.named_parameters():
        weights.requires_grad_(options.layers == "all" or name.startswith(tuple(f"{each}." for each in head)))
    return Started(network, head, tuple(f"{prefix}{name}" for name in random))


def train_mode(network: nn.Module) -> None:
    """Switch to training; parts of which nothing is trained stay as they are when the network is used.

    Otherwise the statistics of their batch norms would change, although their weights do not.
    """
    network.train()
    _freeze_untrained(network)


def _freeze_untrained(module: nn.Module) -> None:
    for child in module.children():
        weights = list(child.parameters())
        if weights and not any(each.requires_grad for each in weights):
            child.eval()
        else:
            _freeze_untrained(child)


def _usual_preprocessing(options: Options) -> Preprocessing:
    mean, std = _AS_IT_IS if options.task == "detect" else _IMAGENET
    if options.task == "clip" and options.model != CNN_RNN:
        mean, std = _KINETICS
    side = _SIDES[options.task]
    size = (side, side) if options.task == "detect" else side
    usual = Preprocessing(resize=size, crop=size, interpolation="bilinear", antialias=True, mean=mean, std=std)
    return _sized(usual, options)


def _usual_arguments(options: Options) -> dict[str, Any]:
    """Return what a manifest must say of some networks: here the pixels are normalised once."""
    builder = options.shape.backbone if options.shape else options.model
    return {"transform_input": False} if builder in TRANSFORMING else {}


def _sized(numbers: Preprocessing, options: Options) -> Preprocessing:
    """Return the preprocessing with the size that was asked for; a square of the middle, or exactly what is given."""
    if options.size is None:
        return numbers
    high, wide = options.size
    size = high if high == wide and options.task != "detect" else (high, wide)
    return replace(numbers, resize=size, crop=size, pad=False, fill=(0, 0, 0))


def _from_path(path: Path, options: Options, usual: Preprocessing) -> Beginning:
    file = path / MANIFEST_FILE if path.is_dir() else path
    if file.suffix in {".yaml", ".yml"}:
        manifest = load_manifest(path)
        told, wanted = (manifest.architecture, manifest.network), (options.model, options.shape)
        if told != wanted:
            raise SettingsError(
                [f"--weights {path} is a {told[0] or 'program'} {told[1] or ''}, not a {wanted[0]} {wanted[1] or ''}"]
            )
        return _of_manifest(manifest, options, f"the model {path}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"--weights {path} cannot be read: {error.strerror}; name another file") from error
    arguments = _usual_arguments(options)
    with torch.device("meta"):  # names are wanted, not weights
        network = build_network(options.model, task=options.task, classes=2, shape=options.shape, arguments=arguments)
    state = weights_to_begin_with(network, data, str(path))
    origin = f"{path.name}, sha256 {sha256_of_bytes(data)}"
    return Beginning(state, of_backbone=False, preprocessing=usual, clip=None, origin=origin, arguments=arguments)


def _of_manifest(manifest: Manifest, options: Options, what: str, *, of_backbone: bool = False) -> Beginning:
    network = load_network(manifest)
    if not isinstance(network, nn.Module):
        raise ModelUnavailable(f"{what} is a program, which cannot be trained: begin with weights of an architecture")
    numbers = _sized(manifest.preprocessing, options)
    origin = f"{what}, sha256 {manifest.sha256}"
    return Beginning(network.state_dict(), of_backbone, numbers, manifest.clip, origin, manifest.arguments)


def _published(options: Options) -> Beginning:
    member = None if options.weights == "DEFAULT" else options.weights
    name = options.shape.backbone if options.shape else options.model
    manifest = load_manifest(ready_model(name, member))
    what = f"torchvision's {name} {options.weights}"
    return _of_manifest(manifest, options, what, of_backbone=options.shape is not None)


def _head_of(network: nn.Module, options: Options, classes: int) -> tuple[str, ...]:
    if options.shape is not None:
        return ("rnn", "classifier")
    if options.task == "detect":
        return tuple(
            name for name, child in network.named_children() if name != "backbone" and list(child.parameters())
        )
    return (classifier_of(network, classes=classes),)


def _of_pictures(network: nn.Module) -> tuple[nn.Module, str]:
    """Return the part of a CNN + RNN that has the names of its backbone, and the prefix of them."""
    backbone = network.get_submodule("backbone")
    body = getattr(backbone, "body", None)
    return (body, "backbone.body.") if isinstance(body, nn.Module) else (backbone, "backbone.")


def _load_fitting(network: nn.Module, state: State, head: tuple[str, ...]) -> list[str]:
    """Load the weights that fit; return the names of the others, all of which are of the head.

    Raises:
        ModelUnavailable: a weight outside of the head is missing, or of another shape.
    """
    own: dict[str, Any] = network.state_dict()
    if not state:
        return list(own)
    fitting = {name: each for name, each in state.items() if name in own and own[name].shape == each.shape}
    others = [name for name in own if name not in fitting and not name.endswith(_COUNTER)]
    if wrong := [name for name in others if not name.startswith(tuple(f"{each}." for each in head))]:
        raise ModelUnavailable(
            f"these weights are of another network: {len(wrong)} of {len(own)} do not fit, such as {wrong[0]}"
        )
    network.load_state_dict(fitting, strict=False)
    return others
