"""The networks that torchvision builds by name, for pictures and for clips: one lookup."""

from typing import Any

import torchvision  # type: ignore[import-untyped]

from worker.domain.errors import ModelUnavailable


def of_pictures() -> list[str]:
    """Return the names of torchvision's classifiers of pictures."""
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def of_clips() -> list[str]:
    """Return the names of torchvision's classifiers of clips."""
    names: list[str] = torchvision.models.list_models(module=torchvision.models.video)
    return names


def weights_of(architecture: str) -> Any:
    """Return the enum of the weights that torchvision publishes for a network.

    Raises:
        ModelUnavailable: torchvision has no such classifier.
    """
    if architecture not in (*of_pictures(), *of_clips()):
        raise ModelUnavailable(
            f"torchvision has no classifier {architecture!r}; it has {', '.join(of_pictures())}, and for clips "
            f"{', '.join(of_clips())}"
        )
    return torchvision.models.get_model_weights(architecture)
