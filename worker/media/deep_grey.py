"""Turn grey of 16 bits into 8 bits."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ImageUnsupported

ALL_BITS: Final = 16
_LOW_BITS: Final = 14
"""Sensors of more bits use nearly all 16. What stays below this many is either very dark, or in the low bits."""
_OUTLIERS: Final = 0.001
"""Share of samples that may lie above, such as hot pixels."""


def grey_of(samples: NDArray[np.uint16], bit_depth: int | None, what: str) -> NDArray[np.uint8]:
    """Return the highest 8 of the bits that samples use.

    Args:
        samples: of any shape.
        bit_depth: bits that they use, 9 to 16, counted from the lowest; larger samples become white. None if nothing is
            known: all 16, but not for a picture that seems to use the low ones only.
        what: the picture, for the error's text.

    Raises:
        ImageUnsupported: nothing is known, and the picture would be nearly black.
    """
    if bit_depth is None:
        check_not_dark((samples >> 8).astype(np.uint8), what)
        bit_depth = ALL_BITS
    return (np.minimum(samples, (1 << bit_depth) - 1) >> (bit_depth - 8)).astype(np.uint8)


def check_not_dark(high_bytes: NDArray[np.uint8], what: str) -> None:
    """Check that the high bytes of a 16-bit picture are not almost empty.

    Raises:
        ImageUnsupported: they are.
    """
    if (high_bytes >= 1 << (_LOW_BITS - 8)).mean() < _OUTLIERS:
        used = max(9, 8 + int(np.percentile(high_bytes, 100 * (1 - _OUTLIERS))).bit_length())
        raise ImageUnsupported(
            f"this {what} uses only the lowest {used} or so of its 16 bits a sample; its high byte would be nearly "
            f"black: set model.bit_depth to the bits of the sensor, or to {ALL_BITS} if the picture is that dark"
        )
