"""Which frames of a video end a shot, by the procedure that TransNetV2's authors have published."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

WINDOW: Final = 100
STEP: Final = 50
_EDGE: Final = (WINDOW - STEP) // 2


def padded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frames with copies of the first one before them and of the last one after them, in whole steps.

    Args:
        pixels: (frames, 27, 48, 3), at least one frame.
    """
    missing = -len(pixels) % STEP
    return np.concatenate([pixels[:1].repeat(_EDGE, axis=0), pixels, pixels[-1:].repeat(_EDGE + missing, axis=0)])


def windows(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the windows, (windows, 100, 27, 48, 3), each half a window after the one before."""
    whole = padded(pixels)
    return np.array([whole[first : first + WINDOW] for first in range(0, len(whole) - WINDOW + 1, STEP)])


def middles(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return a value for each frame, given those of all windows, (windows, 100)."""
    return values[:, _EDGE : _EDGE + STEP].reshape(-1)[:frames]


def values_by(network: Callable[[torch.Tensor], torch.Tensor], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the value of each frame, from 0 to 1.

    Args:
        network: takes pixels / 255, (batch, 3, 100, 27, 48), float32, and returns logits, (batch, 100).
        pixels: RGB, (frames, 27, 48, 3).
    """
    with torch.inference_mode():
        of_windows = [
            network(torch.from_numpy(each[None]).permute(0, 4, 1, 2, 3).float() / 255).sigmoid().numpy()
            for each in windows(pixels)
        ]
    return middles(np.concatenate(of_windows), len(pixels))


def beginnings(values: NDArray[np.float32], threshold: float = 0.5) -> list[int]:
    """Return the frames with which the values reach the threshold."""
    above = values >= threshold
    return np.flatnonzero(above & ~np.concatenate([[False], above[:-1]])).tolist()
