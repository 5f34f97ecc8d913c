"""Resize and centre-crop a picture with one sparse matrix product per dimension.

torch's antialiased resize of uint8 converts every pixel to float and writes the whole picture, and cropping then
discards much of it. This module reads and writes only the pixels of the crop. Each output pixel is a row of weights, a
triangle or a cubic over a few input pixels. The rows form a sparse matrix, for which MKL has a fast product.

The weights are those of torch's `_upsample_bilinear2d_aa` and `_upsample_bicubic2d_aa`, which follow Pillow: a kernel
stretched by the scale, clipped at the picture's edge, summing to one; cubic with a = -0.5 (Keys, 1981). torch resizes
the width before the height. This module resizes the height first, because the memory layout of rows suits the product.
That changes the last bits of float sums, so a value close to the middle between two integers may be rounded to the
other one: about one value in 50,000, between 15,000 and 130,000 with the torchvision presets that were tried on
photographs.
"""

import warnings
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.frames import Image
from worker.domain.geometry import Size, cut_off, scaled_size
from worker.domain.preprocessing import Interpolation, Preprocessing

AVAILABLE: Final = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch comes with sparse products for this processor: it does on x86."""

_HALF, _ONE = np.float32(0.5), np.float32(1)
_SIZES_KEPT: Final = 128
"""Pairs of sizes whose weights are cached: a camera's frames have one size, a folder's pictures have many."""


class _Taps(NamedTuple):
    """The weights of one dimension.

    Attributes:
        first: index of the first input pixel that is used.
        end: index after the last input pixel that is used.
        weights: (output pixels, end - first), sparse.
    """

    first: int
    end: int
    weights: torch.Tensor


def supports_resize(numbers: Preprocessing) -> bool:
    """Tell whether `resize_middle` supports this preprocessing on this processor."""
    return AVAILABLE and numbers.antialias and numbers.interpolation in ("bilinear", "bicubic")


def resize_middle(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize to `numbers.resize` with antialias, and write the centre crop, or the whole picture with its padding.

    Args:
        image: the whole picture.
        out: where to write: RGB, (*crop_size, 3), uint8.
        numbers: the preprocessing of the model's weights, bilinear or bicubic.
    """
    pixels = image.pixels
    width, height = image.size
    wide, high = scaled_size(image.size, numbers)
    crop_height, crop_width = (high, wide) if numbers.pad else numbers.crop_size
    down = _taps(height, high, crop_height, numbers.interpolation)
    across = _taps(width, wide, crop_width, numbers.interpolation)
    # Each product is along the first of three dimensions.
    rows = pixels[down.first : down.end, across.first : across.end].astype(np.float32)
    columns = cv2.transpose(_product(down.weights, rows)).astype(np.float32, copy=False)
    middle = _product(across.weights, columns)
    # A cubic kernel overshoots at hard edges. Values below 0 are clipped here; `convertScaleAbs` clips values above 255
    # and rounds halves to even.
    cropped = cv2.transpose(cv2.convertScaleAbs(np.maximum(middle, 0, out=middle)))
    padded_part(out, (wide, high), numbers)[:] = cropped


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


def _product(weights: torch.Tensor, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply the weights to an array (n, m, 3) along its first dimension."""
    weighed: NDArray[np.float32] = (weights @ torch.from_numpy(rows.reshape(len(rows), -1))).numpy()
    return weighed.reshape(-1, *rows.shape[1:])


@lru_cache(_SIZES_KEPT)
def _taps(size: int, resized: int, crop: int, interpolation: Interpolation) -> _Taps:
    """Return the weights from `size` input pixels to the centre `crop` of `resized` pixels."""
    # In float32, in the same steps as torch: weights that differ in their last bits would change the rounding of
    # several times as many values.
    scale = np.float32(size) / np.float32(resized)
    stretched = max(scale, _ONE)
    reach = stretched * np.float32(1 if interpolation == "bilinear" else 2)
    centres = scale * ((round((resized - crop) / 2) + np.arange(crop)).astype(np.float32) + _HALF)
    firsts = np.maximum((centres - reach + _HALF).astype(int), 0)
    ends = np.minimum((centres + reach + _HALF).astype(int), size)
    steps = np.arange((ends - firsts).max())
    taps = firsts[:, None] + steps
    there = taps < ends[:, None]
    away = (steps.astype(np.float32) + (firsts.astype(np.float32) - centres)[:, None] + _HALF) * (_ONE / stretched)
    weights = np.where(there, _kernel(np.abs(away), interpolation), np.float32(0))
    weights /= weights.cumsum(axis=1)[:, -1:]
    first, end = int(firsts.min()), int(ends.max())
    rows = np.concatenate([[0], there.sum(axis=1).cumsum()])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        sparse = torch.sparse_csr_tensor(
            # MKL uses 32-bit indices: others would be copied in each product.
            torch.from_numpy(rows.astype(np.int32)),
            torch.from_numpy((taps[there] - first).astype(np.int32)),
            torch.from_numpy(weights[there]),
            size=(crop, end - first),
            check_invariants=True,
        )
    return _Taps(first, end, sparse)


def _kernel(x: NDArray[np.float32], interpolation: Interpolation) -> NDArray[np.float32]:
    if interpolation == "bilinear":
        triangle: NDArray[np.float32] = np.maximum(_ONE - x, np.float32(0))
        return triangle
    near = (np.float32(1.5) * x - np.float32(2.5)) * x * x + _ONE
    far = (((x - np.float32(5)) * x + np.float32(8)) * x - np.float32(4)) * -_HALF
    weights: NDArray[np.float32] = np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))
    return weights
