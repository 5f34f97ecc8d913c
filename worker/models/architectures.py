"""The networks that are built by name, by what they do: one lookup."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torchvision  # type: ignore[import-untyped]

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import CNN_RNN
from worker.domain.spelling import or_meant
from worker.models.manifest_fields import TaskName

ALL_NAMES: Final = "all names: vision-worker models list --all; for a file of your own: vision-worker models new FILE"
"""What to do about a name that is not like any other."""


def of_pictures() -> list[str]:
    """Return the names of torchvision's classifiers of pictures."""
    return _names(torchvision.models)


def of_clips() -> list[str]:
    """Return the names of torchvision's classifiers of clips."""
    return _names(torchvision.models.video)


def of_detectors() -> list[str]:
    """Return the names of torchvision's detectors."""
    return _names(torchvision.models.detection)


def of_segmenters() -> list[str]:
    """Return the names of torchvision's networks that classify each pixel."""
    return _names(torchvision.models.segmentation)


def by_purpose() -> Mapping[str, Sequence[str]]:
    """Return the names of all networks of torchvision, by what they do."""
    return {
        "classify pictures": of_pictures(),
        "classify clips": of_clips(),
        "detect": of_detectors(),
        "segment": of_segmenters(),
    }


def for_task(task: TaskName) -> Sequence[str]:
    """Return the names of the networks that can do a task; none for a task that only a program can do."""
    match task:
        case "classify" | "multi_label" | "embed":
            return of_pictures()
        case "clip":
            return [*of_clips(), CNN_RNN]
        case "recurrent":
            return [CNN_RNN]
        case "detect":
            return of_detectors()
        case "segment":
            return of_segmenters()
        case "frame_values":
            return []


def tasks_of(architecture: str) -> list[TaskName]:
    """Return the tasks that a network can do; none if there is no network of that name."""
    tasks: tuple[TaskName, ...] = ("classify", "multi_label", "embed", "clip", "recurrent", "detect", "segment")
    return [task for task in tasks if architecture in for_task(task)]


def weights_of(architecture: str) -> Any:
    """Return the enum of the weights that torchvision publishes for a network.

    Raises:
        ModelUnavailable: torchvision has no such network.
    """
    if architecture == CNN_RNN or not tasks_of(architecture):
        known = [name for names in by_purpose().values() for name in names]
        raise ModelUnavailable(
            f"torchvision has no network {architecture!r}; {or_meant(architecture, known, otherwise=ALL_NAMES)}"
        )
    return torchvision.models.get_model_weights(architecture)


def _names(module: Any) -> list[str]:
    names: list[str] = torchvision.models.list_models(module=module)
    return names
