"""YUV of any matrix and range becomes RGB."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

LIMITED: Final = "limited"

_RED_AND_BLUE: Final = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Shares of red and blue in luma (ITU-R BT.601, BT.709, BT.2020); green has the rest."""
_BLACK: Final = 16
_LUMA_STEPS: Final = 219
_CHROMA_STEPS: Final = 224
_NO_CHROMA: Final = 128


def yuv_to_rgb(y: Pixels, u: Pixels, v: Pixels, matrix: str, color_range: str | None) -> Pixels:
    """Convert planes of one size to RGB.

    Args:
        y: luma, (height, width); below black, it is taken to be black.
        u: the difference of blue, (height, width).
        v: the difference of red, (height, width).
        matrix: one of `COLOR_MATRICES`.
        color_range: one of `COLOR_RANGES`; None for limited.

    Returns:
        (height, width, 3), uint8; at most two levels beside the exact values.
    """
    red, blue = _RED_AND_BLUE[matrix]
    green = 1 - red - blue
    limited = color_range in (None, LIMITED)
    luma = 255 / _LUMA_STEPS if limited else 1.0
    chroma = 255 / _CHROMA_STEPS if limited else 1.0
    of_v, of_u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    factors = np.array(
        [[luma, 0, of_v], [luma, -of_u * blue / green, -of_v * red / green], [luma, of_u, 0]], np.float64
    )
    zero = np.array([_BLACK if limited else 0, _NO_CHROMA, _NO_CHROMA])
    yuv = cv2.merge([np.maximum(y, _BLACK) if limited else y, u, v])
    return cv2.transform(yuv, np.hstack([factors, -(factors @ zero)[:, None]])).astype(np.uint8, copy=False)
