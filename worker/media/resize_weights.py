"""With which weights the pixels of a smaller picture follow from those of a larger one, along one dimension.

Each output pixel is a row of weights, a triangle or a cubic over a few input pixels. The rows form a sparse matrix, for
which MKL has a fast product.

The weights are those of torch's `_upsample_bilinear2d_aa` and `_upsample_bicubic2d_aa`, which follow Pillow: a kernel
stretched by the scale, clipped at the picture's edge, summing to one; cubic with a = -0.5 (Keys, 1981).
"""

import warnings
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.preprocessing import Interpolation

_HALF, _ONE = np.float32(0.5), np.float32(1)
_SIZES_KEPT: Final = 128
"""Pairs of sizes whose weights are cached: a camera's frames have one size, a folder's pictures have many."""


class Weights(NamedTuple):
    """How some output pixels of one dimension follow from input pixels.

    Attributes:
        read: the input pixels that are used.
        matrix: (output pixels, input pixels), sparse.
    """

    read: slice
    matrix: torch.Tensor


@lru_cache(_SIZES_KEPT)
def resize_weights(size: int, resized: int, crop: int, interpolation: Interpolation) -> Weights:
    """Return the weights from a side of a picture to the centre of the resized side.

    Args:
        size: pixels of the side.
        resized: pixels that it is resized to.
        crop: pixels of its centre that are written.
        interpolation: bilinear or bicubic, with antialias.
    """
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
    return _matrix(taps, there, weights)


def _kernel(x: NDArray[np.float32], interpolation: Interpolation) -> NDArray[np.float32]:
    if interpolation == "bilinear":
        triangle: NDArray[np.float32] = np.maximum(_ONE - x, np.float32(0))
        return triangle
    near = (np.float32(1.5) * x - np.float32(2.5)) * x * x + _ONE
    far = (((x - np.float32(5)) * x + np.float32(8)) * x - np.float32(4)) * -_HALF
    weights: NDArray[np.float32] = np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))
    return weights


def _matrix(taps: NDArray[np.int_], there: NDArray[np.bool_], weights: NDArray[np.float32]) -> Weights:
    """Make the sparse matrix: of each output pixel, the input pixels and their weights, where there are any."""
    columns = taps[there]
    read = slice(int(columns.min()), int(columns.max()) + 1)
    rows = np.append(0, there.sum(axis=1).cumsum())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(
            # MKL uses 32-bit indices: others would be copied in each product.
            torch.from_numpy(rows.astype(np.int32)),
            torch.from_numpy((columns - read.start).astype(np.int32)),
            torch.from_numpy(weights[there]),
            size=(len(taps), read.stop - read.start),
            check_invariants=True,
        )
    return Weights(read, matrix)
