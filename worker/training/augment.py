"""Pictures change a little each time they are learned from: crops, colours, and what else is asked for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torchvision import tv_tensors  # type: ignore[import-untyped]
from torchvision.transforms import v2  # type: ignore[import-untyped]

from worker.domain.preprocessing import Preprocessing
from worker.training.options import Augment

MARGIN: Final = 8 / 7
"""How much larger than the input pictures are kept for random crops: as ImageNet's 256 to 224."""

Transform = Callable[..., Any]


def with_margin(numbers: Preprocessing, augment: Augment) -> Preprocessing:
    """Return how pictures are prepared to learn from: with something around the crop if crops are random.

    Only what the worker's own resize shows is kept, so the network learns what it will see.
    """
    if augment == "none":
        return numbers
    if isinstance(numbers.resize, tuple):
        return replace(numbers, crop=numbers.resize)
    side = max(numbers.crop_size)
    return replace(numbers, crop=max(side, min(numbers.resize, round(side * MARGIN))))


def picture_transform(augment: Augment, size: tuple[int, int], *, flip: bool) -> Transform:
    """Return what is done with a picture, uint8 (3, height, width), or with all frames of a clip alike.

    A clip is (frames, 3, height, width): one draw is for all of its frames, so that a motion stays what it is.

    Args:
        augment: how much.
        size: (height, width) of the result.
        flip: whether half of the pictures are mirrored.
    """
    steps = list[Any]()
    if augment == "none":
        steps.append(v2.CenterCrop(size))
    elif augment == "light":
        steps += [
            v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(0.9, 1.1), antialias=True),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ]
    else:
        steps += [
            v2.RandomRotation(10, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomResizedCrop(size, scale=(0.4, 1.0), antialias=True),
            v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05),
            v2.RandomErasing(0.25),
        ]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    return v2.Compose(steps)  # type: ignore[no-any-return]


def detection_transform(augment: Augment, size: tuple[int, int], *, flip: bool) -> Transform:
    """Return what is done with a picture, uint8 (3, height, width), and its targets, as torchvision's detectors.

    Args:
        augment: how much.
        size: (height, width) of the picture, which stays.
        flip: whether half of the pictures are mirrored.
    """
    steps = list[Any]()
    if augment != "none":
        steps.append(v2.RandomPhotometricDistort(p=0.5))
    if augment == "strong":
        steps += [v2.RandomZoomOut(side_range=(1.0, 2.0), p=0.3), v2.RandomIoUCrop(), v2.Resize(size, antialias=True)]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    change = v2.Compose([*steps, v2.SanitizeBoundingBoxes(min_size=2)])

    def apply(
        picture: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        drawn = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=picture.shape[-2:])
        changed, found = change(tv_tensors.Image(picture), {"boxes": drawn, "labels": labels})
        return changed.as_subclass(torch.Tensor), found["boxes"].as_subclass(torch.Tensor), found["labels"]

    return apply
