"""With which weights the pixels of a smaller picture follow from those of a larger one, along one dimension.

Each output pixel is a row of weights, a triangle or a cubic over a few input pixels. The rows form a sparse matrix, for
which MKL has a fast product.

The weights are those of torch's `_upsample_bilinear2d_aa` and `_upsample_bicubic2d_aa`, which follow Pillow: a kernel
stretched by the scale, clipped at the picture's edge, summing to one; cubic with a = -0.5 (Keys, 1981).

A JPEG's planes of chroma have fewer values than pixels, and its decoder enlarges them first: twice with the weights 3/4
and 1/4 of the two nearest values ("fancy upsampling"), four times by repeating. That is linear too. So the weights of
both steps are multiplied here once, and chroma need not be enlarged.
"""

import warnings
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.preprocessing import Interpolation

_HALF, _ONE = np.float32(0.5), np.float32(1)
_NEAREST, _NEXT = np.float32(0.75), np.float32(0.25)
_SIZES_KEPT: Final = 128
"""Pairs of sizes whose weights are cached: a camera's frames have one size, a folder's pictures have many."""


class Weights(NamedTuple):
    """How some output pixels of one dimension follow from input values.

    Attributes:
        read: the input values that are used.
        matrix: (output pixels, input values), sparse; of two planes, twice as many of both, one plane after the other.
    """

    read: slice
    matrix: torch.Tensor


class _Entries(NamedTuple):
    """The entries of a sparse matrix, by row.

    Attributes:
        rows: which output pixel.
        columns: which input value.
        values: its weight.
    """

    rows: NDArray[np.int_]
    columns: NDArray[np.int_]
    values: NDArray[np.float32]


@lru_cache(_SIZES_KEPT)
def resize_weights(
    size: int,
    resized: int,
    crop: int,
    interpolation: Interpolation,
    *,
    shared: int = 1,
    planes: int = 1,
) -> Weights:
    """Return the weights from a side of a picture to the centre of the resized side.

    Args:
        size: pixels of the side.
        resized: pixels that it is resized to.
        crop: pixels of its centre that are written.
        interpolation: bilinear or bicubic, with antialias.
        shared: how many pixels share one input value: 1, or 2 or 4 for the chroma of a JPEG.
        planes: how many planes lie one after the other in the input, and in the output.
    """
    found = _resizing(size, resized, crop, interpolation)
    if shared > 1:
        found = _after_upsampling(found, -(-size // shared), shared)
    return _weights(found, crop, planes)


def _resizing(size: int, resized: int, crop: int, interpolation: Interpolation) -> _Entries:
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
    return _Entries(np.nonzero(there)[0], taps[there], weights[there])


def _kernel(x: NDArray[np.float32], interpolation: Interpolation) -> NDArray[np.float32]:
    if interpolation == "bilinear":
        triangle: NDArray[np.float32] = np.maximum(_ONE - x, np.float32(0))
        return triangle
    near = (np.float32(1.5) * x - np.float32(2.5)) * x * x + _ONE
    far = (((x - np.float32(5)) * x + np.float32(8)) * x - np.float32(4)) * -_HALF
    weights: NDArray[np.float32] = np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))
    return weights


def _after_upsampling(entries: _Entries, size: int, shared: int) -> _Entries:
    """Multiply weights of pixels by those with which libjpeg makes pixels of chroma.

    Args:
        entries: of the resize, whose columns are pixels.
        size: how many values of chroma there are.
        shared: how many pixels share one of them: 2 or 4.
    """
    rows, pixels, values = entries
    columns = pixels // shared
    if shared == 2:
        aside = np.clip(columns + np.where(pixels % 2, 1, -1), 0, size - 1)
        rows, columns = np.concatenate([rows, rows]), np.concatenate([columns, aside])
        values = np.concatenate([values * _NEAREST, values * _NEXT])
    places, entry = np.unique(rows * size + columns, return_inverse=True)
    return _Entries(places // size, places % size, np.bincount(entry, values).astype(np.float32))


def _weights(entries: _Entries, written: int, planes: int) -> Weights:
    """Make the sparse matrix, with all weights once for each plane."""
    read = slice(int(entries.columns.min()), int(entries.columns.max()) + 1)
    wide, count = read.stop - read.start, len(entries.columns)
    begins = np.searchsorted(entries.rows, np.arange(written))
    plane = np.arange(planes)[:, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(
            # MKL uses 32-bit indices: others would be copied in each product.
            torch.from_numpy(np.append(begins + plane * count, planes * count).astype(np.int32)),
            torch.from_numpy((entries.columns - read.start + plane * wide).astype(np.int32).ravel()),
            torch.from_numpy(np.tile(entries.values, planes)),
            size=(planes * written, planes * wide),
            check_invariants=True,
        )
    return Weights(read, matrix)
