"""Weights that torchvision publishes: look them up by name, with their preprocessing and class names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import torch

from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.preprocessing import Preprocessing, Sides
from worker.models.architectures import weights_of
from worker.models.store import sha256_of_file

# The published weights of these two networks need pixels normalised with mean and std 0.5. The networks can do this
# themselves (`transform_input`). Here it is part of the preprocessing, so that it travels with the weights.
_HALF: Final = (0.5, 0.5, 0.5)
_INPUT_TRANSFORMED: Final = frozenset({"googlenet", "inception_v3"})
_CLIP_FACT: Final = re.compile(r"`(frame_rate|clip_len)=([\d.]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWeights:
    """One member of one of torchvision's weights enums.

    Attributes:
        architecture: the builder's name.
        member: the member's own name, such as `IMAGENET1K_V1`, even if `DEFAULT` was requested.
        url: download address; the file name in it ends with the first hex digits of the file's sha256.
        labels: class names by index.
        clip: what a network takes that sees time; None for one of single pictures.
    """

    architecture: str
    member: str
    url: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    clip: ClipShape | None


def published_weights(architecture: str, member: str = "DEFAULT") -> PublishedWeights:
    """Look up weights by name; nothing is downloaded.

    torchvision's own weights are BSD-3-Clause. Weights named SWAG are CC-BY-NC-4.0, not for commercial use.

    Args:
        architecture: a builder of a classifier, such as `resnet50`, or `r3d_18` for clips.
        member: name of a member of the builder's weights enum.

    Raises:
        ModelUnavailable: torchvision has no such classifier or weights; the text lists those that it has.
    """
    enum = weights_of(architecture)
    if member not in enum.__members__:
        raise ModelUnavailable(f"{architecture} has no weights {member!r}; it has {', '.join(enum.__members__)}")
    weights = enum[member]
    labels = weights.meta["categories"]
    if not labels:  # such as for VGG16
        raise ModelUnavailable(
            f"{architecture} {member} are feature weights without classes; it has {', '.join(enum.__members__)}"
        )
    numbers, clip = weights.transforms(), _clip_of(weights)
    half = architecture in _INPUT_TRANSFORMED
    return PublishedWeights(
        architecture=architecture,
        member=weights.name,
        url=weights.url,
        labels=tuple(labels),
        preprocessing=Preprocessing(
            resize=_sides(numbers.resize_size),
            crop=_sides(numbers.crop_size),
            interpolation=numbers.interpolation.value,
            # The presets of the video models resize without it, and say so nowhere but in their code.
            antialias=clip is None and bool(numbers.antialias),
            mean=_HALF if half else tuple(numbers.mean),
            std=_HALF if half else tuple(numbers.std),
        ),
        clip=clip,
    )


def _clip_of(weights: Any) -> ClipShape | None:
    """Read what a network takes together from the prose of its weights; that is where torchvision says it."""
    told = dict(_CLIP_FACT.findall(weights.meta["_docs"]))
    return ClipShape(int(told["clip_len"]), float(told["frame_rate"])) if told else None


def _sides(size: Sequence[int]) -> Sides:
    """Return what a preset says. The presets of pictures give one number; a square crop is the same either way."""
    return (size[0], size[1]) if len(size) == 2 else size[0]


def download_weights(weights: PublishedWeights) -> Path:
    """Return the weights' file in torch.hub's cache; download it on first use.

    Raises:
        ModelUnavailable: it cannot be downloaded, or its hash does not match its name.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(weights.url).path).name)
    hash_prefix = file.stem.rpartition("-")[2]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(weights.url, str(file), hash_prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise ModelUnavailable(
                f"{weights.url} could not be downloaded ({error}): put that file at {file} yourself, or use a model "
                "from the package index (vision-worker models list)"
            ) from error
    found = sha256_of_file(file)
    if not found.startswith(hash_prefix):
        raise ModelUnavailable(
            f"{file} has sha256 {found}, not {hash_prefix}...: delete it, and it is downloaded again"
        )
    return file
