"""Everything that runs on pixels, as one torch module: normalise, network, head."""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.utils._pytree import tree_leaves

from worker.domain.errors import ModelUnavailable
from worker.domain.preprocessing import MemoryFormat, Precision, Preprocessing
from worker.models.heads import Head, Tensors
from worker.models.programs import batch_limits

_LOWERED: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
_CHANNELS_LAST: Final = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By the number of dimensions of what the network takes."""


class ModelGraph(nn.Module):
    """uint8 pixels in, the head's outputs out: what every engine runs, and the only definition of it.

    It normalises on the device, where only a quarter of the bytes arrive, and reduces the scores there too, so that a
    few numbers come back.

    Args:
        network: takes normalised channels, float32, (batch, channels, height, width), or (batch, channels, frames,
            height, width).
        numbers: the weights were trained with.
        head: takes what `network` returns.
        precision: of convolutions and matrix products, by torch's autocast; all else stays float32.
        memory_format: of activations and weights, unless `network` is a program: that has its own.
        sees_time: whether the network takes clips.
        leaf: which of all tensors that `network` returns the head gets; None gives it what is returned as it is.

    Raises:
        ModelUnavailable: the network is a program of another layout than the one that was asked for.
    """

    mean: torch.Tensor
    std: torch.Tensor
    least = 1
    """The fewest samples in a call."""

    def __init__(
        self,
        network: nn.Module | ExportedProgram,
        numbers: Preprocessing,
        *,
        head: Head,
        precision: Precision = "fp32",
        memory_format: MemoryFormat = "channels_last",
        sees_time: bool = False,
        leaf: int | None = None,
        device: torch.device,
    ) -> None:
        super().__init__()
        dimensions = 5 if sees_time else 4
        channels_last = _CHANNELS_LAST[dimensions]
        if isinstance(network, ExportedProgram):
            # A program was exported in eval mode, holds devices in its graph too, and wants its own memory layout.
            self.layout = _input_layout(network)
            self.least = batch_limits(network).least
            if (memory_format, self.layout) == ("contiguous", channels_last):
                raise ModelUnavailable(
                    "memory_format contiguous: this program was exported in channels_last, and runs in nothing else; "
                    "leave model.memory_format as it is, or export the program once more"
                )
            module: nn.Module = move_to_device_pass(network, device).module()
        else:
            self.layout = channels_last if memory_format == "channels_last" else torch.contiguous_format
            module = network.eval().to(device)
        self.network = _laid_out(module, self.layout).requires_grad_(requires_grad=False)
        each = (numbers.depth, *(1,) * (dimensions - 2))
        self._divisor = 255 / numbers.max_value
        self.register_buffer("mean", torch.tensor(numbers.mean, device=device).view(each))
        self.register_buffer("std", torch.tensor(numbers.std, device=device).view(each))
        self._channels_first = (0, dimensions - 1, *range(1, dimensions - 1))
        self.device = device
        self.head, self.precision = head, precision
        self._lowered = _LOWERED.get(precision)
        self._leaf = leaf

    def forward(self, pictures: torch.Tensor) -> Tensors:
        """Take uint8, (batch, height, width, channels), or (batch, frames, height, width, channels).

        A clip may have any number of frames that its network can take, unless that is a program.

        Raises:
            ModelContractBroken: the network's output is not what the head takes.
        """
        pixels = pictures.permute(self._channels_first).to(torch.float32, memory_format=self.layout)
        with self._autocast():
            found = self.network(pixels.div_(self._divisor).sub_(self.mean).div_(self.std))
        if self._leaf is not None:
            found = tree_leaves(found)[self._leaf]
        outputs: Tensors = self.head(found, pictures.shape)
        return outputs

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, self._lowered) if self._lowered else nullcontext()


def _laid_out(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Lay out the weights of a network as its activations."""
    if layout is not torch.channels_last_3d:
        return network.to(memory_format=layout)
    # `to` would take this layout to the weights of four dimensions too, which a network that sees time may also have.
    for weights in network.parameters():
        if weights.dim() == 5:
            weights.data = weights.contiguous(memory_format=layout)
    return network


def _input_layout(program: ExportedProgram) -> torch.memory_format:
    (name,) = program.graph_signature.user_inputs
    (example,) = (node.meta["val"] for node in program.graph.nodes if node.name == name)
    return _CHANNELS_LAST[example.dim()] if example.stride(1) == 1 else torch.contiguous_format


def export_graph(graph: ModelGraph, shape: Sequence[int]) -> ExportedProgram:
    """Trace the graph for samples of one shape and any batch.

    Args:
        graph: the graph, on the device where it will run.
        shape: of a sample, (height, width, channels), or (frames, height, width, channels).

    Raises:
        ModelUnavailable: the network does what cannot be traced.
    """
    least = graph.least
    pictures = torch.zeros((max(2, least), *shape), dtype=torch.uint8, device=graph.device)
    try:
        with torch.inference_mode(mode=False), torch.no_grad(), warnings.catch_warnings():
            # An RNN notes where its weights lie each time it runs; nothing of that is in the graph.
            warnings.filterwarnings("ignore", message=r".*_flat_weights\[0\].* assigned during export")
            return torch.export.export(graph, (pictures,), dynamic_shapes=({0: torch.export.Dim("batch", min=least)},))
    except Exception as error:
        raise ModelUnavailable(f"torch cannot export this network ({error}); set model.engine: eager") from error
