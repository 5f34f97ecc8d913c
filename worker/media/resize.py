"""Resize and centre-crop a picture with one sparse matrix product per dimension.

torch's antialiased resize of uint8 converts every pixel to float and writes the whole picture, and cropping then
discards much of it. This module reads and writes only the pixels of the crop.

torch resizes the width before the height. This module resizes the height first, because the memory layout of rows suits
the product. That changes the last bits of float sums, so a value close to the middle between two integers may be
rounded to the other one: about one value in 50,000, between 15,000 and 130,000 with the torchvision presets that were
tried on photographs.

A picture is resized in few large calls. In strips that fit into the processor's cache, one thread took a fifth less
time, but two threads took a third more: between any two calls they wait for Python's lock.
"""

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.frames import Image
from worker.domain.geometry import Size, cut_off, scaled_size
from worker.domain.preprocessing import Preprocessing
from worker.media.resize_weights import Weights, resize_weights

AVAILABLE: Final = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch comes with sparse products for this processor: it does on x86."""

Values = NDArray[np.float32]


def supports_resize(numbers: Preprocessing) -> bool:
    """Tell whether this module supports this preprocessing on this processor."""
    return AVAILABLE and numbers.smooths


def resize_middle(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize to `numbers.resize` with antialias, and write the centre crop, or the whole picture with its padding.

    Args:
        image: the whole picture.
        out: where to write: RGB, (*crop_size, 3), uint8.
        numbers: the preprocessing of the model's weights, bilinear or bicubic.
    """
    (width, height), (wide, high) = image.size, scaled_size(image.size, numbers)
    crop_height, crop_width = (high, wide) if numbers.pad else numbers.crop_size
    across = resize_weights(width, wide, crop_width, numbers.interpolation)
    down = resize_weights(height, high, crop_height, numbers.interpolation)
    rows = _product(down, image.pixels[down.read, across.read].astype(np.float32))
    columns = _product(across, cv2.transpose(rows).astype(np.float32, copy=False))
    padded_part(out, (wide, high), numbers)[:] = cv2.transpose(_rounded(columns, numbers))


def padded_part(out: NDArray[np.uint8], scaled: Size, numbers: Preprocessing) -> NDArray[np.uint8]:
    """Return the part of the model's input that shows the picture, and fill the rest with padding.

    Args:
        out: RGB, (*crop_size, 3), uint8.
        scaled: the picture's size as of `scaled_size`.
        numbers: the preprocessing; without padding, the whole input shows the picture.
    """
    if not numbers.pad:
        return out
    (wide, high), (left, top) = scaled, cut_off(scaled, numbers)
    out[:] = numbers.fill
    return out[-top : high - top, -left : wide - left]


def _product(weights: Weights, values: Values) -> Values:
    """Apply the weights to an array (n, m, 3), along its first dimension."""
    # torch tells MKL how many threads to use in this thread when it needs the number itself. For a small product it
    # does not, and MKL would take a thread for each core: they then wait for each other, and for the threads of others.
    torch.get_num_threads()
    weighed: Values = (weights.matrix @ torch.from_numpy(values.reshape(len(values), -1))).numpy()
    return weighed.reshape(-1, *values.shape[1:])


def _rounded(values: Values, numbers: Preprocessing) -> NDArray[np.uint8]:
    """Round halves to even, and clip."""
    if numbers.interpolation == "bicubic":
        # This kernel overshoots at hard edges. `convertScaleAbs` clips values above 255, but not those below 0.
        np.maximum(values, 0, out=values)
    return cv2.convertScaleAbs(values).astype(np.uint8, copy=False)
