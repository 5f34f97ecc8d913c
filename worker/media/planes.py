"""Decode a JPEG to the planes that it stores, with the TurboJPEG library of the system.

A JPEG stores brightness (luma) in one plane, and colour (chroma) in two planes, which are mostly smaller. Decoders
enlarge these two and convert every pixel to RGB. A small model input does not need all of that:
`worker/media/resize.py` makes it of the planes.

simplejpeg contains the same library, but does not offer planes. No package of the index has TurboJPEG as a library, so
the system's one is called here. What it reports is not judged here: `worker/media/jpeg_decoder.py` does that.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ImageUndecodable, ModelUnavailable, Reason
from worker.domain.geometry import Size

_NAMES: Final = ("libturbojpeg.so.0", "libturbojpeg.0.dylib")
_STOP_ON_WARNING: Final = 8192
"""TJFLAG_STOPONWARNING: otherwise, a damaged JPEG gives pixels and an error that tells little."""
_FACTORS: Final = {0: (1, 1), 1: (2, 1), 2: (2, 2), 4: (1, 2), 5: (4, 1)}
"""How many columns and rows of pixels share one value of chroma, by `TJSAMP`: 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1."""
_GREY_SAMPLING: Final = 3
_YCBCR, _GREY = 1, 2
"""Of `TJCS`: how the JPEG stores colours. Others are RGB, CMYK and YCCK."""


class Planes(NamedTuple):
    """The planes of a JPEG, uint8, full range, BT.601.

    Attributes:
        luma: (height, width).
        chroma: (2, rows, columns): Cb and Cr; None of a grey picture.
        factors: how many columns, and how many rows, of luma share one value of chroma.
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8] | None
    factors: tuple[int, int]

    @property
    def size(self) -> Size:
        """(width, height) of the picture."""
        return self.luma.shape[1], self.luma.shape[0]


@cache
def load_turbojpeg(names: tuple[str, ...] = _NAMES) -> ctypes.CDLL:
    """Load the library, once.

    Args:
        names: of its file, as the system's loader knows it: the first one that there is, is taken.

    Raises:
        ModelUnavailable: this machine does not have it.
    """
    for name in names:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if not hasattr(library, "tjGetErrorCode"):  # version 2.0, the first that can stop at a warning
            continue
        integers, handle, data = ctypes.POINTER(ctypes.c_int), ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_ulong)
        library.tjInitDecompress.restype = handle
        library.tjDestroy.argtypes = [handle]
        library.tjDecompressHeader3.argtypes = [handle, *data, *[integers] * 4]
        library.tjDecompressToYUVPlanes.argtypes = [
            *(handle, *data, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, integers, ctypes.c_int, ctypes.c_int)
        ]
        return library
    raise ModelUnavailable(
        f"model.preparation planes needs the library TurboJPEG 2.0 or later, and this machine has no {names[0]} of it: "
        f"apt-get install libturbojpeg0, or set model.preparation: exact"
    )


def decode_planes(jpeg: bytes) -> Planes:
    """Decode a JPEG whose header was checked; several threads may do this at once.

    Raises:
        ImageUndecodable: the library reports something, or the JPEG has no such planes. Another decoder may take it.
        ModelUnavailable: this machine does not have the library.
        MemoryError: the machine has no memory for the picture.
    """
    library, length = load_turbojpeg(), len(jpeg)
    with _decompressor(library) as handle:
        width, height, sampling, colours = (ctypes.c_int() for _ in range(4))
        found = (ctypes.byref(each) for each in (width, height, sampling, colours))
        if library.tjDecompressHeader3(handle, jpeg, length, *found):
            raise _refusal()
        is_grey = (sampling.value, colours.value) == (_GREY_SAMPLING, _GREY)
        if not is_grey and (sampling.value not in _FACTORS or colours.value != _YCBCR):
            raise _refusal()
        across, down = _FACTORS.get(sampling.value, (1, 1))
        columns, rows = -(-width.value // across), -(-height.value // down)
        # The library rounds up to whole values of chroma.
        luma = np.empty((rows * down, columns * across), np.uint8)
        chroma = np.empty((2, 0 if is_grey else rows, columns), np.uint8)
        planes = (ctypes.c_void_p * 3)(*(each.ctypes.data for each in (luma, *chroma)))
        if library.tjDecompressToYUVPlanes(handle, jpeg, length, planes, 0, None, 0, _STOP_ON_WARNING):
            raise _refusal()
    return Planes(luma[: height.value, : width.value], None if is_grey else chroma, (across, down))


@contextmanager
def _decompressor(library: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    """Make a decompressor, which takes half a microsecond; each serves one thread at a time."""
    handle = library.tjInitDecompress()
    if not handle:
        raise MemoryError("no memory to decode a JPEG")
    try:
        yield handle
    finally:
        library.tjDestroy(handle)


def _refusal() -> ImageUndecodable:
    return ImageUndecodable(Reason.NOT_A_PICTURE, "this JPEG cannot be decoded to planes: use another decoder")
