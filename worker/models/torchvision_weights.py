"""Weights that torchvision publishes: look them up by name, with their preprocessing and class names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import torch
import torchvision  # type: ignore[import-untyped]

from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.networks import TRANSFORMING
from worker.domain.preprocessing import Preprocessing, Sides
from worker.models.architectures import tasks_of, weights_of
from worker.models.manifest_fields import TaskName
from worker.models.store import sha256_of_file, writing_to

_WIDE: Final = (520, 928)
"""Height and width for segmenters whose preset makes the shorter side 520: with it, a picture of 16:9 or of any shape
between that and a square is scaled as the preset does it, and the rest is padding."""
_CLIP_FACT: Final = re.compile(r"`(frame_rate|clip_len)=([\d.]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWeights:
    """One member of one of torchvision's weights enums.

    Attributes:
        architecture: the builder's name.
        member: the member's own name, such as `IMAGENET1K_V1`, even if `DEFAULT` was requested.
        url: download address; the file name in it ends with the first hex digits of the file's sha256.
        labels: class names by index.
        task: what the network is for.
        clip: what a network takes that sees time; None for one of single pictures.
        arguments: what torchvision gives the builder, for these weights.
    """

    architecture: str
    member: str
    url: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    task: TaskName
    clip: ClipShape | None
    arguments: Mapping[str, Any]


def published_weights(architecture: str, member: str = "DEFAULT") -> PublishedWeights:
    """Look up weights by name; nothing is downloaded.

    torchvision's own weights are BSD-3-Clause. Weights named SWAG are CC-BY-NC-4.0, not for commercial use.

    Args:
        architecture: a builder, such as `resnet50`, `r3d_18` for clips, `fcos_resnet50_fpn` to detect, or
            `fcn_resnet50` to segment.
        member: name of a member of the builder's weights enum.

    Raises:
        ModelUnavailable: torchvision has no such network or weights; the text lists those that it has.
    """
    enum = weights_of(architecture)
    if member not in enum.__members__:
        raise ModelUnavailable(
            f"{architecture} has no weights {member!r}; it has {', '.join(enum.__members__)}: set model.weights to one "
            "of these; for a file of your own: vision-worker models new FILE"
        )
    weights = enum[member]
    labels = weights.meta["categories"]
    if not labels:  # such as for VGG16
        raise ModelUnavailable(
            f"{architecture} {member} are feature weights without classes; it has {', '.join(enum.__members__)}"
        )
    task = tasks_of(architecture)[0]
    return PublishedWeights(
        architecture=architecture,
        member=weights.name,
        url=weights.url,
        labels=tuple(labels),
        preprocessing=_preprocessing(architecture, task, weights.transforms()),
        task=task,
        clip=_clip_of(weights),
        arguments=_arguments(architecture, weights),
    )


def _arguments(architecture: str, weights: Any) -> dict[str, Any]:
    """Return what torchvision's builders set where they load weights; it is only in their code."""
    if architecture in TRANSFORMING:
        return {"transform_input": True}
    return {"image_size": weights.meta["min_size"][0]} if architecture.startswith("vit_") else {}


def _preprocessing(architecture: str, task: TaskName, preset: Any) -> Preprocessing:
    """Return what a preset does with a picture; of a detector, what the network itself does."""
    if task == "detect":
        return _of_detector(architecture)
    resize = _WIDE if task == "segment" and preset.resize_size == [_WIDE[0]] else _sides(preset.resize_size)
    return Preprocessing(
        resize=resize,
        crop=resize if task == "segment" else _sides(preset.crop_size),
        interpolation=preset.interpolation.value,
        # The presets of the video models resize without it, and say so nowhere but in their code.
        antialias=task != "clip" and bool(preset.antialias),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        pad=task == "segment",
    )


def _of_detector(architecture: str) -> Preprocessing:
    """Return a picture's way into a detector, which scales pictures to limits, or to one size, and normalises them.

    Within limits (shortest side, longest side) pictures have many sizes, and a batch has one. With the limits as height
    and width, a picture that is wider than high is scaled as the network would do it, and the rest is padding.
    """
    with torch.device("meta"):  # sizes are wanted, not weights
        network = torchvision.models.get_model(architecture, weights=None, weights_backbone=None)
    transform = network.transform
    fixed = transform.fixed_size
    high, wide = fixed[::-1] if fixed else (transform.min_size[-1], transform.max_size)
    return Preprocessing(
        resize=(high, wide),
        crop=(high, wide),
        interpolation="bilinear",
        antialias=False,  # as the network's own transform
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        pad=not fixed,
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
        try:
            with writing_to(file.parent, variable="TORCH_HOME"):
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
