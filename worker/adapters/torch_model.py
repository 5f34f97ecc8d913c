"""A torch network as the worker's model: prepare pictures as its weights want them, run a batch, give probabilities."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms import functional as transforms

from worker.domain.errors import ImageUnsupported, ModelContractBroken, ModelFailed, ModelOutOfMemory, ModelUnavailable
from worker.domain.frames import Image
from worker.domain.preprocessing import Output, Preprocessing
from worker.domain.results import ModelIdentity

_MAX_ASPECT: Final = 32
_SUM_TOLERANCE: Final = 1e-2


class TorchModel:
    """A classifier together with the preprocessing that belongs to its weights; implements `ports.Model`.

    `prepare` may be called from several threads at once, `classify` from one at a time.

    Args:
        network: takes normalised RGB, (batch, 3, crop, crop), float32, and returns (batch, classes).
        identity: name and version.
        labels: class names by index.
        preprocessing: the numbers the weights were trained with.
        output: what `network` returns. It is said, never guessed.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: that torch may use for one operation, in the whole process; None leaves torch's choice.

    Raises:
        ModelUnavailable: the device is not there.
    """

    def __init__(
        self,
        network: nn.Module | ExportedProgram,
        *,
        identity: ModelIdentity,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        output: Output,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.identity = identity
        self.labels = tuple(labels)
        self._preprocessing = preprocessing
        self._output = output
        self._device = _find_device(device)
        self._network = _Normalised(network, preprocessing, self._device)

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Resize and crop one picture exactly as torchvision's `weights.transforms()` does with a uint8 tensor.

        torchvision's first transforms API, as those presets use it, resizes in float. The second one resizes uint8 in
        a fifth of the time, and one pixel in seven differs by one.

        Returns:
            RGB, (crop, crop, 3), uint8.

        Raises:
            ImageUnsupported: so long and thin that resizing its shorter side would take any amount of memory.
        """
        height, width = image.pixels.shape[:2]
        if min(height, width) * _MAX_ASPECT < max(height, width):
            raise ImageUnsupported(
                f"this picture is {width}x{height}: no side may be more than {_MAX_ASPECT} times as long as the other"
            )
        numbers = self._preprocessing
        # torch takes neither read-only nor negatively strided arrays; the view as (3, height, width) costs nothing.
        pixels = torch.from_numpy(np.require(image.pixels, requirements=["C", "W"])).permute(2, 0, 1)
        mode = InterpolationMode(numbers.interpolation)
        resized = transforms.resize(pixels, [numbers.resize], mode, antialias=numbers.antialias)
        cropped = transforms.center_crop(resized, [numbers.crop])
        # A copy, so that the small picture does not keep the resized one alive.
        return np.array(cropped.permute(1, 2, 0).numpy(), order="C")

    def classify(self, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Run one batch through the network in one call.

        Args:
            inputs: what `prepare` returned, (crop, crop, 3), uint8 each.

        Returns:
            Probabilities, (batch, classes), float32, rows summing to one.

        Raises:
            ModelFailed: the network raised.
            ModelOutOfMemory: there was no memory for so many.
            ModelContractBroken: the network's output does not fit the batch, the labels, or what it is said to be.
        """
        if not inputs:
            return np.empty((0, len(self.labels)), np.float32)
        scores = self._run(torch.from_numpy(np.stack(inputs)))
        if self._output == "logits":
            scores = torch.softmax(scores, dim=1)
        elif scores.min() < 0 or (scores.sum(dim=1) - 1).abs().max() > _SUM_TOLERANCE:
            raise ModelContractBroken(f"{self.identity}: rows are no probabilities; say output: logits in its manifest")
        return scores.numpy()

    def warm_up(self, batch_size: int) -> None:
        """Run one black batch, so that the first real one neither waits for lazy set-up nor is the first to fail."""
        side = self._preprocessing.crop
        self.classify([np.zeros((side, side, 3), np.uint8)] * batch_size)

    def _run(self, pictures: torch.Tensor) -> torch.Tensor:
        """Take uint8, (batch, crop, crop, 3), to finite scores, (batch, classes), float32, on the CPU."""
        expected = (len(pictures), len(self.labels))
        try:
            with torch.inference_mode():
                if self._device.type == "cuda":
                    # Out of pinned memory the copy need not wait; torch keeps that memory until the copy is done.
                    pictures = pictures.pin_memory().to(self._device, non_blocking=True)
                output = self._network(pictures)
                if isinstance(output, torch.Tensor):
                    # Waits for the device, so whatever went wrong there is raised here.
                    output = output.float().cpu()
        except Exception as error:
            kind = ModelOutOfMemory if _is_out_of_memory(error) else ModelFailed
            raise kind(f"{self.identity} failed on a batch of {expected[0]}: {error}") from error
        if not isinstance(output, torch.Tensor):
            raise ModelContractBroken(f"{self.identity} returned a {type(output).__name__}, not a tensor {expected}")
        if output.shape != expected:
            raise ModelContractBroken(
                f"{self.identity} returned {tuple(output.shape)}, not {expected}: do its labels belong to its weights?"
            )
        if not torch.isfinite(output).all():
            raise ModelContractBroken(f"{self.identity} returned NaN or infinity: are its weights damaged?")
        return output


class _Normalised(nn.Module):
    """uint8 pixels in, the network's answer out; normalises on the device, where only a quarter of the bytes arrive."""

    def __init__(self, network: nn.Module | ExportedProgram, numbers: Preprocessing, device: torch.device) -> None:
        super().__init__()
        if isinstance(network, ExportedProgram):
            # A program was exported in eval mode, holds devices in its graph too, and wants its own memory layout.
            self.layout = _input_layout(network)
            module: nn.Module = move_to_device_pass(network, device).module()
        else:
            self.layout = torch.channels_last
            module = network.eval().to(device)
        self.network = module.to(memory_format=self.layout)
        self.mean = torch.tensor(numbers.mean, device=device).view(3, 1, 1)
        self.std = torch.tensor(numbers.std, device=device).view(3, 1, 1)

    def forward(self, pictures: torch.Tensor) -> object:
        """Take uint8, (batch, height, width, 3)."""
        pixels = pictures.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout)
        return self.network(pixels.div_(255).sub_(self.mean).div_(self.std))


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA has an error of its own for it; on the CPU torch's allocator says so in words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _input_layout(program: ExportedProgram) -> torch.memory_format:
    (name,) = program.graph_signature.user_inputs
    (example,) = (node.meta["val"] for node in program.graph.nodes if node.name == name)
    return torch.channels_last if example.stride(1) == 1 else torch.contiguous_format


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelUnavailable(f"device {name!r} is not known: use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelUnavailable(f"device {name!r} is not supported: use cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelUnavailable(
            f"device {name!r}: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here; use cpu, "
            "or see that nvidia-smi lists the GPU and that torch is a CUDA build"
        )
    return device
