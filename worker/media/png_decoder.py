"""Decode PNGs with Pillow, which raises what libpng writes to standard error."""

import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PillowImage
from PIL.PngImagePlugin import PngImageFile

from worker.domain.errors import ImageUnsupported
from worker.domain.pictures import Flaw
from worker.media.deep_grey import ALL_BITS, check_not_dark, grey_of
from worker.media.png_structure import PngStructure
from worker.media.refusals import damaged

Pixels = NDArray[np.uint8]


def decode_png(data: bytes, png: PngStructure, bit_depth: int | None) -> Pixels:
    """Decode a PNG.

    Grey and palettes become RGB. Alpha is dropped, not blended: there is no background to blend with.

    Args:
        data: the whole record.
        png: its structure.
        bit_depth: bits that samples of 16 bits use, 9 to 16, counted from the lowest; the highest 8 of them are kept.
            None if nothing is known: all 16, but not for a picture that uses the low ones only.

    Returns:
        RGB, (height, width, 3), uint8; read-only.

    Raises:
        ImageUndecodable: the PNG is damaged.
        ImageUnsupported: it has 16 bits, and they cannot be read, or nobody knows how.
        MemoryError: the machine has no memory for the picture.
    """
    needed = png.needed(data)
    what = f"PNG of {png.width}x{png.height} pixels"
    try:
        picture: PillowImage = PngImageFile(BytesIO(needed))
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise damaged(what, str(error), Flaw.CORRUPT) from error
    if picture.mode == "P" and np.asarray(picture).max() >= len(picture.getpalette() or ()) // 3:
        raise damaged(what, "its pixels name colours that its palette lacks", Flaw.CORRUPT)
    if picture.mode.startswith("I"):
        grey = grey_of(np.asarray(picture).astype(np.uint16), bit_depth, what)
        return np.repeat(grey[..., None], 3, axis=2)
    pixels = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    if png.depth == ALL_BITS:
        _check_deep_colour(pixels, bit_depth, what)
    return pixels


def _check_deep_colour(high_bytes: Pixels, bit_depth: int | None, what: str) -> None:
    """Check that the high bytes, which are all that Pillow keeps of colour, are what is wanted."""
    if bit_depth is None:
        check_not_dark(high_bytes, what)
    elif bit_depth != ALL_BITS:
        raise ImageUnsupported(
            f"this {what} has 16 bits of colour, and model.bit_depth: {bit_depth} is for grey only: "
            f"send 8 bits, or set model.bit_depth: {ALL_BITS}"
        )
