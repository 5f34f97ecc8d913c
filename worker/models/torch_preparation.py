"""Resize and crop pictures as torchvision's weights require: with torchvision, or on the GPU that decodes them.

Both write RGB, (*crop_size, 3), uint8, to a slot of a batch.
"""

from queue import SimpleQueue
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg  # type: ignore[import-untyped]
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms import functional as transforms
from torchvision.transforms.v2 import functional as transforms_v2  # type: ignore[import-untyped]

from worker.domain.errors import ImageUndecodable, ModelUnavailable, Reason
from worker.domain.frames import Image
from worker.domain.geometry import Size, scaled_size
from worker.domain.preprocessing import Preprocessing
from worker.media.resize import padded_part

_CUDA_STREAMS: Final = 8


def prepare_image(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize and crop one picture exactly as torchvision's `weights.transforms()` does with a uint8 tensor.

    These presets use torchvision's first transforms API, which resizes in float.

    Args:
        image: the whole picture.
        out: the slot to write to.
        numbers: the preprocessing of the model's weights.
    """
    mode = InterpolationMode(numbers.interpolation)
    sides = _sides(image.size, numbers)
    _write(transforms.resize(_as_tensor(image), sides, mode, antialias=numbers.antialias), out, numbers)


def prepare_in_uint8(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize and crop one picture as torchvision's `transforms.v2` does with a uint8 tensor.

    This API resizes in integers, as Pillow does: the results are equal but for about one value in 1,000. torchvision's
    weights were trained with Pillow. Compared with the first API, one value in ten differs, mostly by 1. This function
    calls torch directly, because torchvision's own call takes a third longer.

    Args:
        image: the whole picture.
        out: the slot to write to: RGB, (*crop_size, 3), uint8.
        numbers: the preprocessing of the model's weights.
    """
    (width, height), (wide, high) = image.size, scaled_size(image.size, numbers)
    # A batch of one. This first stride says that the channels of a pixel lie together. With any other one, torch would
    # write the result as planes, which takes longer.
    strides = (3 * width * height, 1, 3 * width, 3)
    pixels = _as_tensor(image).as_strided((1, 3, height, width), strides)
    (resized,) = interpolate(pixels, (high, wide), mode=numbers.interpolation, antialias=numbers.smooths)
    _write(resized, out, numbers)


class JpegPreparation:
    """Decodes, resizes and crops JPEGs on a device, and copies only the result back.

    May be called from several threads at the same time.

    Args:
        device: the device; CUDA means nvJPEG.
        numbers: the preprocessing of the model's weights.

    Raises:
        ModelUnavailable: torchvision cannot decode on this device.
    """

    def __init__(self, device: torch.device, numbers: Preprocessing) -> None:
        self._device = device
        self._numbers = numbers
        # nvJPEG writes on its own stream, to memory that torch allocates on the current stream, and does not check
        # whether the current stream still uses that memory. So each call takes a stream on which nothing else runs,
        # neither another call nor the model.
        self._streams = SimpleQueue[torch.cuda.Stream | None]()
        try:
            for _ in range(_CUDA_STREAMS):
                self._streams.put(_new_stream(device))
            example = encode_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8)).numpy().tobytes()
            self(example, np.empty((*numbers.crop_size, 3), np.uint8))
        except (RuntimeError, ImageUndecodable) as error:
            raise ModelUnavailable(
                f"torchvision cannot decode JPEG on {device} ({error}): set model.preparation: exact"
            ) from error

    def __call__(self, jpeg: bytes, out: NDArray[np.uint8]) -> Size:
        """Decode and prepare one picture.

        Args:
            jpeg: a JPEG whose header was checked.
            out: the slot to write to.

        Returns:
            (width, height) of the picture.

        Raises:
            ImageUndecodable: the device cannot decode it; another decoder may.
        """
        stream = self._streams.get()
        try:
            with torch.cuda.stream(stream):
                encoded = torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)
                pixels = decode_jpeg(encoded, ImageReadMode.RGB, device=self._device)
                numbers = self._numbers
                mode = InterpolationMode(numbers.interpolation)
                size = pixels.shape[2], pixels.shape[1]
                sides = _sides(size, numbers)
                # The second transforms API takes uint8, and rounds to uint8 what a GPU computes in float.
                resized = transforms_v2.resize(pixels, sides, mode, antialias=numbers.antialias)
                # Copying the result waits for the device, so errors on the device are raised here.
                _write(resized, out, numbers)
                return size
        except RuntimeError as error:
            raise ImageUndecodable(
                Reason.NOT_A_PICTURE, f"the JPEG cannot be decoded on {self._device}: {error}"
            ) from error
        finally:
            self._streams.put(stream)


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _sides(size: Size, numbers: Preprocessing) -> list[int]:
    """Return what torchvision is told: the shorter side alone, so that it rounds the other one, or both."""
    if isinstance(numbers.resize, int) and not numbers.pad:
        return [numbers.resize]
    width, height = scaled_size(size, numbers)
    return [height, width]


def _as_tensor(image: Image) -> torch.Tensor:
    # torch accepts neither read-only nor negatively strided arrays; the view as (3, height, width) costs nothing.
    return torch.from_numpy(np.require(image.pixels, requirements=["C", "W"])).permute(2, 0, 1)


def _write(pixels: torch.Tensor, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Write the middle of a resized picture, or all of it with its padding."""
    shown = pixels if numbers.pad else transforms.center_crop(pixels, list(numbers.crop_size))
    part = padded_part(out, (shown.shape[2], shown.shape[1]), numbers)
    part[:] = shown.permute(1, 2, 0).cpu().numpy()
