"""The middle of a resized picture, each dimension one product with a sparse matrix.

torch's antialiased resize of uint8 goes through every pixel in float and writes the whole picture, of which cropping
then throws much away. Here only what the crop shows is read and written, and each output pixel is a row of weights, a
triangle or a cubic over the few input pixels below it: a sparse matrix, for which MKL has a fast product.

The weights are those of torch's `_upsample_bilinear2d_aa` and `_upsample_bicubic2d_aa`, which follow Pillow's: a kernel
stretched by the scale, cut off at the picture's edge, summing to one; cubic with a = -0.5 (Keys, 1981). There the
width comes before the height. Here it is the other way round, for rows lie in memory as products want them. That
changes the last bits of float sums, so that a value close to the middle between two is rounded to the other: one in
some 50,000, from 15,000 to 130,000 with torchvision's presets that were tried on photographs.
"""

import warnings
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.frames import Image
from worker.domain.geometry import resized_size
from worker.domain.preprocessing import Interpolation, Preprocessing

AVAILABLE: Final = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether torch comes with sparse products for this processor: it does on x86."""

_HALF, _ONE = np.float32(0.5), np.float32(1)
_SIZES_KEPT: Final = 128
"""Weights are kept of so many pairs of sizes: a camera's frames have one size, a folder's pictures have many."""


class _Taps(NamedTuple):
    """How one dimension is put together.

    Attributes:
        first: of the input pixels that matter.
        end: after the last of them.
        weights: (pixels put out, end - first), sparse.
    """

    first: int
    end: int
    weights: torch.Tensor


def resizes(numbers: Preprocessing) -> bool:
    """Tell whether this is what the weights want, and can be had on this processor."""
    return AVAILABLE and numbers.antialias and numbers.interpolation != "nearest"


def resize_middle(image: Image, out: NDArray[np.uint8], numbers: Preprocessing) -> None:
    """Resize the shorter side to `numbers.resize` with antialias, and write the crop in the middle.

    Args:
        image: the whole picture.
        out: where to, RGB, (crop, crop, 3), uint8.
        numbers: of the weights, bilinear or bicubic.
    """
    pixels = image.pixels
    width, height = image.size
    wide, high = resized_size(image.size, numbers.resize)
    down = _taps(height, high, numbers.crop, numbers.interpolation)
    across = _taps(width, wide, numbers.crop, numbers.interpolation)
    # Both products go over the first of three dimensions.
    rows = pixels[down.first : down.end, across.first : across.end].astype(np.float32)
    columns = cv2.transpose(_product(down.weights, rows)).astype(np.float32, copy=False)
    middle = _product(across.weights, columns)
    # A cubic overshoots at hard edges: below 0 is cut off here, above 255 while halves are rounded to even.
    out[:] = cv2.transpose(cv2.convertScaleAbs(np.maximum(middle, 0, out=middle)))


def _product(weights: torch.Tensor, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh (n, m, 3) along its first dimension."""
    weighed: NDArray[np.float32] = (weights @ torch.from_numpy(rows.reshape(len(rows), -1))).numpy()
    return weighed.reshape(-1, *rows.shape[1:])


@lru_cache(_SIZES_KEPT)
def _taps(size: int, resized: int, crop: int, interpolation: Interpolation) -> _Taps:
    """Weigh one dimension of `size` pixels for the `crop` in the middle of `resized`."""
    # In float32, step by step as torch does it: weights with other last bits would round several times as many values.
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
            # MKL counts in 32 bits: others would be copied in each product.
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
