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
_CACHED: Final = 256 * 1024
"""Bytes: half of the second-level cache of a core that is not new. The products need the other half."""
_LEAST_ROWS: Final = 8


class _Weights(NamedTuple):
    """How some output pixels of one dimension follow from input pixels.

    Attributes:
        written: the output pixels.
        read: the input pixels that are used.
        matrix: (written, read), sparse.
    """

    written: slice
    read: slice
    matrix: torch.Tensor


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
    width, height = image.size
    wide, high = scaled_size(image.size, numbers)
    crop_height, crop_width = (high, wide) if numbers.pad else numbers.crop_size
    (across,) = _weights(width, wide, crop_width, numbers.interpolation)
    pixels, shown = image.pixels[:, across.read], padded_part(out, (wide, high), numbers)
    rows = _rows_at_once(pixels.shape[1] * pixels.shape[2] * height / high)
    for down in _weights(height, high, crop_height, numbers.interpolation, rows):
        # Each product is along the first of three dimensions.
        columns = cv2.transpose(_product(down.matrix, pixels[down.read].astype(np.float32)))
        strip = _product(across.matrix, columns.astype(np.float32, copy=False))
        if numbers.interpolation == "bicubic":
            # This kernel overshoots at hard edges. `convertScaleAbs` clips values above 255, but not those below 0.
            np.maximum(strip, 0, out=strip)
        shown[down.written] = cv2.transpose(cv2.convertScaleAbs(strip))  # rounds halves to even


def _rows_at_once(values_read: float) -> int:
    """Return how many rows of the output are made in one go, from how many input values one of them needs.

    What is read for them then stays in the processor's cache. But neighbours read some rows of the input twice, so few
    rows at once are slow too.
    """
    return max(_LEAST_ROWS, int(_CACHED / (values_read * np.dtype(np.float32).itemsize)))


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
def _weights(
    size: int, resized: int, crop: int, interpolation: Interpolation, step: int | None = None
) -> tuple[_Weights, ...]:
    """Return the weights from `size` input pixels to the centre `crop` of `resized` pixels, `step` at a time."""
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
    parts = (slice(begin, min(begin + (step or crop), crop)) for begin in range(0, crop, step or crop))
    return tuple(_matrix(part, taps[part], there[part], weights[part]) for part in parts)


def _matrix(written: slice, taps: NDArray[np.int_], there: NDArray[np.bool_], weights: NDArray[np.float32]) -> _Weights:
    """Make a sparse matrix of the weights of each output pixel, where they are there."""
    columns = taps[there]
    first, end = int(columns.min()), int(columns.max()) + 1
    rows = np.concatenate([[0], there.sum(axis=1).cumsum()])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        sparse = torch.sparse_csr_tensor(
            # MKL uses 32-bit indices: others would be copied in each product.
            torch.from_numpy(rows.astype(np.int32)),
            torch.from_numpy((columns - first).astype(np.int32)),
            torch.from_numpy(weights[there]),
            size=(len(taps), end - first),
            check_invariants=True,
        )
    return _Weights(written, slice(first, end), sparse)


def _kernel(x: NDArray[np.float32], interpolation: Interpolation) -> NDArray[np.float32]:
    if interpolation == "bilinear":
        triangle: NDArray[np.float32] = np.maximum(_ONE - x, np.float32(0))
        return triangle
    near = (np.float32(1.5) * x - np.float32(2.5)) * x * x + _ONE
    far = (((x - np.float32(5)) * x + np.float32(8)) * x - np.float32(4)) * -_HALF
    weights: NDArray[np.float32] = np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))
    return weights
