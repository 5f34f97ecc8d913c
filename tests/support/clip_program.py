"""A clip model for real worker processes that tells exactly what it was shown: an exported program with its manifest.

Each picture is grey, and how grey says which frame it is. The class of a place is the place and its level, so the
classes of a prediction, `FRAMES` of them, are what all places showed, in order.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from tests.support.pictures import PNG
from worker.domain.clips import ClipShape
from worker.domain.preprocessing import Preprocessing
from worker.models.manifest import write_manifest

FRAMES: Final = 5
RATE: Final = 10.0
CYCLE: Final = 250
"""Frames of a camera after which levels begin anew: many more than any clip spans."""

_LEVELS: Final = 256
_SIDE: Final = 4


@cache
def grey_picture(number: int) -> bytes:
    """Return a PNG that tells the number of its frame, modulo `CYCLE`."""
    return PNG(np.full((_SIDE, _SIDE, 3), number % CYCLE, np.uint8))


def label_of(place: int, number: int) -> str:
    """Name the class of a place that shows this frame."""
    return f"{place}:{number % CYCLE}"


def labels() -> list[str]:
    """Return all class names, by index."""
    return [label_of(place, level) if level < CYCLE else f"{place}:none-{level}" for place, level in _classes()]


def shown_by(indices: Sequence[int], first: int) -> tuple[int, ...]:
    """Return the number of the frame that each place showed.

    Args:
        indices: the classes of a prediction.
        first: number of the clip's first frame.
    """
    places = dict(divmod(index, _LEVELS) for index in indices)
    assert sorted(places) == list(range(FRAMES)), f"{indices} are not one class for each place"
    return tuple(first + (places[place] - first) % CYCLE for place in range(FRAMES))


def write_clip_model(folder: Path) -> Path:
    """Write the program and its manifest into a folder, and return the folder."""
    file = folder / "shown.pt2"
    example, any_batch = torch.zeros(2, 3, FRAMES, _SIDE, _SIDE), ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(_Shown().eval(), (example,), dynamic_shapes=any_batch), file)
    write_manifest(
        folder,
        {"name": "shown", "program": file.name},
        labels=labels(),
        preprocessing=Preprocessing(
            resize=_SIDE, crop=_SIDE, interpolation="nearest", antialias=False, mean=(0, 0, 0), std=(1, 1, 1)
        ),
        task="clip",
        clip=ClipShape(FRAMES, RATE),
    )
    return folder


class _Shown(nn.Module):
    """Gives each place's level a logit, the first place the highest."""

    first_class: torch.Tensor
    logits: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("first_class", _LEVELS * torch.arange(FRAMES))
        self.register_buffer("logits", 2.0 * torch.arange(FRAMES, 0, -1))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        levels = (255 * clips.mean(dim=(1, 3, 4))).round().long()
        nothing = clips.new_zeros(clips.shape[0], FRAMES * _LEVELS)
        return nothing.scatter(1, self.first_class + levels, self.logits.expand(clips.shape[0], -1))


def _classes() -> list[tuple[int, int]]:
    return [divmod(index, _LEVELS) for index in range(FRAMES * _LEVELS)]
