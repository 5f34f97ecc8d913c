"""Resize and centre-crop a picture with one sparse matrix product per dimension.

torch's antialiased resize of uint8 converts every pixel to float and writes the whole picture, and cropping then
discards much of it. This module reads and writes only the pixels of the crop.

torch resizes the width before the height. This module resizes the height first, because the memory layout of rows suits
the product. That changes the last bits of float sums, so a value close to the middle between two integers may be
rounded to the other one: about one value in 50,000, between 15,000 and 130,000 with the torchvision presets that were
tried on photographs.

A picture is resized in few large calls. In strips that fit into the processor's cache, one thread took a fifth less
time, but two threads took a third more: between any two calls they wait for Python's lock.

The planes of a JPEG are resized before they become RGB, with the same weights. A decoder rounds and clips each pixel of
the whole picture; here that is done once, to the pixels of the result.
"""

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.frames import Image
from worker.domain.geometry import Size, cut_off, scaled_size
from worker.domain.preprocessing import Preprocessing
from worker.media.planes import Planes
from worker.media.resize_weights import Weights, resize_weights

AVAILABLE: Final = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch comes with sparse products for this processor: it does on x86."""

_GREY: Final = 128
"""The value of chroma of a pixel without colour."""
# The inverse of full-range BT.601, as in JFIF.
_RED_OF_CR, _BLUE_OF_CB = 1.402, 1.772
_GREEN_OF_CB, _GREEN_OF_CR = -0.344136, -0.714136

Values = NDArray[np.float32]


def supports_resize(numbers: Preprocessing) -> bool:
    """Tell whether this module supports this preprocessing on this processor."""
    return AVAILABLE and numbers.antialias and numbers.interpolation in ("bilinear", "bicubic")


def resize_middle(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize to `numbers.resize` with antialias, and write the centre crop, or the whole picture with its padding.

    Args:
        image: the whole picture.
        out: where to write: RGB, (*crop_size, 3), uint8.
        numbers: the preprocessing of the model's weights, bilinear or bicubic.
    """
    across, down = _weights(image.size, numbers)
    pixels = _resized(image.pixels[down.read, across.read].astype(np.float32), down, across)
    padded_part(out, scaled_size(image.size, numbers), numbers)[:] = cv2.transpose(_rounded(pixels, numbers))


def resize_planes(planes: Planes, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize the planes of a JPEG in the same way, and write RGB.

    Args:
        planes: of the whole picture.
        out: where to write: RGB, (*crop_size, 3), uint8.
        numbers: the preprocessing of the model's weights, bilinear or bicubic.
    """
    shown = padded_part(out, scaled_size(planes.size, numbers), numbers)
    across, down = _weights(planes.size, numbers)
    luma = _resized(planes.luma[down.read, across.read].astype(np.float32), down, across)
    if planes.chroma is None:
        shown[:] = cv2.transpose(_rounded(luma, numbers))[..., None]
        return
    across, down = _weights(planes.size, numbers, planes.factors, planes=2)
    both = planes.chroma[:, down.read, across.read].astype(np.float32)
    chroma = _resized(both.reshape(-1, both.shape[2]), down, across)
    shown[:] = cv2.transpose(_rgb(luma, chroma))


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


def _weights(
    size: Size, numbers: Preprocessing, shared: tuple[int, int] = (1, 1), planes: int = 1
) -> tuple[Weights, Weights]:
    """Return the weights across and down.

    Args:
        size: (width, height) of the picture.
        numbers: the preprocessing of the model's weights.
        shared: how many pixels, across and down, share one of the values that are weighed.
        planes: how many planes of these values lie one after the other.
    """
    (width, height), (wide, high) = size, scaled_size(size, numbers)
    crop_height, crop_width = (high, wide) if numbers.pad else numbers.crop_size
    across = resize_weights(width, wide, crop_width, numbers.interpolation, shared=shared[0])
    return across, resize_weights(height, high, crop_height, numbers.interpolation, shared=shared[1], planes=planes)


def _resized(values: Values, down: Weights, across: Weights) -> Values:
    """Resize some rows, (n, m) or (n, m, 3). The result is turned: its first dimension is the width."""
    return _product(across, cv2.transpose(_product(down, values)).astype(np.float32, copy=False))


def _product(weights: Weights, values: Values) -> Values:
    """Apply the weights to an array of two or three dimensions, along the first one."""
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


def _rgb(luma: Values, chroma: Values) -> NDArray[np.uint8]:
    """Return RGB, rounded and clipped: (n, m, 3) of luma (n, m), and of Cb and Cr side by side, (n, 2 * m)."""
    cb, cr = chroma[:, : luma.shape[1]], chroma[:, luma.shape[1] :]
    of_colour = cv2.addWeighted(cb, _GREEN_OF_CB, cr, _GREEN_OF_CR, -_GREY * (_GREEN_OF_CB + _GREEN_OF_CR))
    red = cv2.addWeighted(luma, 1, cr, _RED_OF_CR, -_GREY * _RED_OF_CR, dtype=cv2.CV_8U)
    green = cv2.addWeighted(luma, 1, of_colour, 1, 0, dtype=cv2.CV_8U)
    blue = cv2.addWeighted(luma, 1, cb, _BLUE_OF_CB, -_GREY * _BLUE_OF_CB, dtype=cv2.CV_8U)
    return np.asarray(cv2.merge([red, green, blue]), np.uint8)
