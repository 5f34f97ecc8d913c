"""Which channels of a picture a network takes: red, green and blue, the reverse, or grey alone."""

import numpy as np
from numpy.typing import NDArray

from worker.domain.preprocessing import ChannelOrder


def write_channels(rgb: NDArray[np.uint8], out: NDArray[np.uint8], channels: ChannelOrder) -> None:
    """Write the channels that a network takes.

    Args:
        rgb: (height, width, 3), uint8.
        out: where to: (height, width, 3), or (height, width, 1) for `gray`, uint8.
        channels: which, and in which order.
    """
    match channels:
        case "rgb":
            out[:] = rgb
        case "bgr":
            out[:] = rgb[..., ::-1]
        case "gray":
            out[..., 0] = _grey(rgb)


def _grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return grey as Pillow makes it, and with it `torchvision.transforms.v2.Grayscale` on a Pillow picture.

    The weights, of ITU-R BT.601, sum up to one: a picture that is grey keeps its values. Those that torchvision uses on
    a tensor sum up to 0.9999, and it cuts the fraction off, so a grey picture becomes darker by one.
    """
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), -1, 0)
    grey: NDArray[np.uint32] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return grey
