"""Turn pictures upright, as their EXIF data says."""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

_BYTE_ORDERS: Final[dict[bytes, Literal["little", "big"]]] = {b"II*\0": "little", b"MM\0*": "big"}
_ORIENTATION: Final = 0x0112
_ENTRY: Final = 12  # bytes
_STORED: Final = 1
_TURNED: Final = range(5, 9)  # their width is stored as height


def orientation_of(exif: bytes) -> int:
    """Return the orientation that EXIF data names, 1 to 8; 1, which is as stored, if it names none.

    Args:
        exif: begins with a TIFF header.
    """
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return _STORED
    directory = int.from_bytes(exif[4:8], order)
    entries = int.from_bytes(exif[directory : directory + 2], order)
    first = directory + 2
    for at in range(first, min(first + entries * _ENTRY, len(exif) - _ENTRY + 1), _ENTRY):
        if int.from_bytes(exif[at : at + 2], order) == _ORIENTATION:
            value = int.from_bytes(exif[at + 8 : at + 10], order)
            return value if _STORED <= value <= _TURNED[-1] else _STORED
    return _STORED


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the (width, height) of a picture that is turned upright."""
    return size[::-1] if orientation in _TURNED else size


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn a picture upright.

    Args:
        pixels: (height, width, 3), uint8, as stored.
        orientation: from EXIF data, 1 to 8.

    Returns:
        (height, width, 3), or (width, height, 3) if the picture lies on its side; contiguous.
    """
    if orientation in _TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
