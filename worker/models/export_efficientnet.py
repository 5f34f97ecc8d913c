"""Convert EfficientNet-Lite0's package and weights to a `torch.export` program.

It runs in a separate process, because it imports downloaded code that is not part of this project.

    python export_efficientnet.py FOLDER-OF-THE-PACKAGE WEIGHTS PROGRAM
"""

import importlib
import sys

import torch


def main(package_folder: str, weights: str, program: str) -> None:
    """Build the network, load its weights strictly, and write a program for batches of any size."""
    sys.path.insert(0, package_folder)
    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
    network.eval().requires_grad_(requires_grad=False)
    # A program runs in the memory layout that it was exported with; convolutions on a CPU are fastest in this one.
    example = torch.zeros(2, 3, 224, 224).to(memory_format=torch.channels_last)
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(network, (example,), dynamic_shapes=any_batch), program)


if __name__ == "__main__":
    main(*sys.argv[1:])
