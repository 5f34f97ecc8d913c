"""Writes a PNG of small numbers, such as the class of each pixel."""

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY: Final = (8, 0, 0, 0, 0)
"""Bits of a pixel, grey, and the only compression, filter method and order that every reader knows."""
_LEVEL: Final = 6


def grey_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG with 8 bits of grey.

    Areas of one class compress well without filters, and encoding one takes a millisecond.

    Args:
        pixels: (height, width), uint8, each at least 1.
    """
    height, width = pixels.shape
    # Each row begins with the number of its filter: 0 is none.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = pixels
    header = struct.pack(">II5B", width, height, *_GREY)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), _LEVEL)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
