"""Models that are easy to verify: a picture shows red, green and blue, each of them or none."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from tests.support.models import small_manifest, write_manifest
from tests.support.pictures import PNG
from worker.domain.frames import CapturedFrame
from worker.domain.preprocessing import Preprocessing
from worker.domain.times import EventMillis
from worker.models.store import sha256_of_file

TINTS: Final = ("red", "green", "blue")
NUMBERS: Final = Preprocessing(
    resize=(16, 16), crop=(16, 16), interpolation="bilinear", antialias=True, mean=(0.0,) * 3, std=(1.0,) * 3
)
STEEP: Final = 8.0


def tinted(shown: Collection[str], *, width: int = 32, height: int = 24, share: float = 1.0) -> NDArray[np.uint8]:
    """Return a picture with these tints; `share` of 255 in their channels."""
    colour = [round(255 * share) * (name in shown) for name in TINTS]
    return np.full((height, width, 3), colour, np.uint8)


class Tints(nn.Module):
    """A score for each tint, or for red alone: `STEEP` times as far from 0 as its share is from a half."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, outputs, 1)
        with torch.no_grad():
            self.layer.weight.copy_(STEEP * torch.eye(3)[:outputs, :, None, None])
            assert self.layer.bias is not None
            self.layer.bias.fill_(-STEEP / 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (batch, outputs), given (batch, 3, height, width)."""
        scores: torch.Tensor = self.layer(pixels).mean(dim=(2, 3))
        return scores


def write_tints_model(folder: Path, **fields: Any) -> Path:
    """Write the program and its manifest into a folder, and return the folder; of red alone for the task classify.

    Args:
        folder: an empty folder.
        fields: of the manifest.
    """
    several = fields.get("task") == "multi_label"
    file, any_batch = folder / "tints.pt2", ({0: torch.export.Dim("batch", min=1)},)
    network = Tints(3 if several else 1).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=any_batch), file)
    numbers = {"resize": [16, 16], "crop": "none", "mean": [0, 0, 0], "std": [1, 1, 1]}
    usual = {
        "name": "tints",
        "program": file.name,
        "sha256": sha256_of_file(file),
        "labels": list(TINTS) if several else ["other", "red"],
        "output": "sigmoid",
    }
    return write_manifest(
        folder, yaml.safe_load(yaml.safe_dump(small_manifest(**usual | fields, preprocessing=numbers)))
    )


SHOWN: Final = [set(each) for size in range(len(TINTS) + 1) for each in combinations(TINTS, size)]
LABELS: Final = ('["red"]', "[]", '["green", "blue"]', "blue", '["red", "violet"]', None)
"""Of frames in turn; the last but one names a class that the model does not have."""


def tinted_frames(count: int, *, cameras: int = 5) -> Iterator[CapturedFrame]:
    """Yield frames of several cameras; what they show and what their labels say goes round, each at its own pace."""
    for number in range(count):
        nth, at = number // cameras, EventMillis(1_700_000_000_000 + 40 * number)
        picture, label = PNG(tinted(SHOWN[nth % len(SHOWN)])), LABELS[nth % len(LABELS)]
        yield CapturedFrame(f"cam-{number % cameras}", picture, at, "image/png", f"frame-{number:05}", label)


def counted_by_hand(count: int, *, cameras: int = 5) -> dict[str, int]:
    """Count what the model should say of `tinted_frames`, apart from the worker's code."""
    found = Counter[str]()
    for number in range(count):
        named, label = SHOWN[number // cameras % len(SHOWN)], LABELS[number // cameras % len(LABELS)]
        found["seen"] += 1
        if label is None or "violet" in label:
            continue
        true = set(json.loads(label)) if label.startswith("[") else {label}
        found.update(
            labelled=1,
            exact=named == true,
            hits=len(named & true),
            misses=len(true - named),
            false_alarms=len(named - true),
        )
    return dict(found)
