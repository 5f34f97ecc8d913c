"""A detector that is easy to verify: it finds the white and the blue rectangle of a dark picture."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from worker.domain.boxes import Box
from worker.domain.preprocessing import Preprocessing
from worker.models.manifest import MANIFEST_FILE, write_manifest

LABELS: Final = ("background", "white", "blue")
COLOURS: Final = {"white": (255, 255, 255), "blue": (0, 0, 255)}
LETTERBOX: Final = Preprocessing(
    resize=(96, 128),
    crop=(96, 128),
    interpolation="bilinear",
    antialias=True,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    pad=True,
)


def with_rectangles(width: int, height: int, **boxes: Box) -> NDArray[np.uint8]:
    """Paint rectangles, by the name of their colour, on black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for name, box in boxes.items():
        left, top, right, bottom = map(int, box)
        pixels[top:bottom, left:right] = COLOURS[name]
    return pixels


class Bright(nn.Module):
    """Takes (batch, 3, height, width) from 0 to 1, and returns boxes, scores and labels of the two colours."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        red, blue = pictures[:, 0], pictures[:, 2]
        both = torch.stack([red, blue - red], dim=1)
        # Noise is cut off symmetrically, so an edge stays where the value is a half.
        clean = ((both - 0.25) / 0.5).clamp(0, 1)
        left, right = _ends(clean.amax(dim=2))
        top, bottom = _ends(clean.amax(dim=3))
        found = clean.amax(dim=(2, 3))
        labels = torch.arange(1, 3).expand(pictures.shape[0], -1)
        return torch.stack([left, top, right, bottom], dim=2), 0.9 * found, labels


def _ends(profile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the bright part of (batch, colours, n) begins and ends: around its middle, as long as its sum."""
    length = profile.sum(dim=2)
    places = torch.arange(profile.shape[2]) + 0.5
    middle = (profile * places).sum(dim=2) / length.clamp(min=1e-6)
    return middle - length / 2, middle + length / 2


@cache
@cache
def bright_program(numbers: Preprocessing = LETTERBOX) -> ExportedProgram:
    """Export the detector for an input size."""
    example, any_batch = torch.zeros(2, 3, *numbers.crop_size), ({0: torch.export.Dim("batch", min=1)},)
    return torch.export.export(Bright().eval(), (example,), dynamic_shapes=any_batch)


def write_bright_model(folder: Path, numbers: Preprocessing = LETTERBOX, **fields: object) -> Path:
    """Write the program and its manifest, with more fields, into a folder, and return the folder."""
    torch.export.save(bright_program(numbers), folder / "bright.pt2")
    named = {"name": "bright", "program": "bright.pt2"}
    write_manifest(folder, named, labels=LABELS, preprocessing=numbers, task="detect")
    document = yaml.safe_load((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(yaml.safe_dump({**document, **fields}))
    return folder


def write_bright_areas(folder: Path) -> Path:
    """Write a program whose two classes are told apart by brightness; drawn weights leave them close to each other."""
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="replicate"), nn.AvgPool2d(4))
    (layer, _) = network
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1] = 1 / 27
        layer.bias.copy_(torch.tensor([0.4, 0.0]))
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(network.eval(), (torch.zeros(2, 3, 96, 128),), dynamic_shapes=any_batch)
    torch.export.save(program, folder / "areas.pt2")
    named = {"name": "areas", "program": "areas.pt2"}
    write_manifest(folder, named, labels=("dark", "bright"), preprocessing=LETTERBOX, task="segment")
    return folder
