"""Pixels become a JPEG, smaller if asked for."""

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike


@dataclass(frozen=True, slots=True)
class JpegEncoder:
    """Encodes frames of videos and cameras.

    Attributes:
        quality: of the JPEG, 1 to 100.
        scale: factor for width and height, above 0 and at most 1.
    """

    quality: int = 90
    scale: float = 1.0

    def __call__(self, pixels: MatLike) -> bytes:
        """Return the JPEG of an 8-bit picture: grey, or BGR as OpenCV reads it."""
        height, width = pixels.shape[:2]
        size = scaled_size((width, height), self.scale)
        if size != (width, height):
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return np.asarray(jpeg).tobytes()


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return (width, height) times a factor, each the nearest even number of pixels.

    A side of one pixel stays one, and another never becomes less than two. At factor 1, an odd side stays odd.
    """
    if scale == 1:
        return size
    width, height = (min(side, max(2, 2 * round(side * scale / 2))) for side in size)
    return width, height
