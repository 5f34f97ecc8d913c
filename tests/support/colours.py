"""A classifier small enough to check by hand: which of five colours a picture mostly is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import PNG
from worker.domain.errors import ModelFailed
from worker.domain.frames import Image
from worker.domain.results import ModelIdentity

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


class ColourModel:
    """Implements `ports.Model`; the probability of a colour falls with its distance from the picture's mean.

    Args:
        fail_on_call: the call, counted from 0, that raises.
    """

    identity = ModelIdentity("colours", "c0105c010500")
    labels = tuple(COLOURS)

    def __init__(self, *, fail_on_call: int | None = None) -> None:
        self.calls: list[int] = []
        self._fail_on_call = fail_on_call

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        mean: NDArray[np.uint8] = image.pixels.mean(axis=(0, 1), keepdims=True).round().astype(np.uint8)
        return mean

    def classify(self, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if len(self.calls) == self._fail_on_call:
            raise ModelFailed("told to fail")
        self.calls.append(len(inputs))
        means = np.stack(inputs).reshape(-1, 1, 3).astype(np.float32)
        distance = np.linalg.norm(means - np.array(list(COLOURS.values()), np.float32), axis=2)
        weights = np.exp(-distance / 64)
        shares: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


def picture(colour: str) -> bytes:
    """Return an 8x8 PNG of one colour."""
    return PNG(np.full((8, 8, 3), COLOURS[colour], np.uint8))
