"""Calls of the size that a program takes: it may be exported for one batch size, or for two samples and more."""

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine, join
from worker.models.programs import BatchLimits


class Portions:
    """Implements `domain.arrays.Engine`: cuts a batch that is too large, and fills one that is too small.

    Args:
        engine: runs the program.
        limits: of its batch.
    """

    def __init__(self, engine: Engine, limits: BatchLimits) -> None:
        self._engine = engine
        self._limits = limits

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch in as few calls as possible."""
        step = self._limits.most or len(pixels)
        return join([self._call(pixels[start : start + step]) for start in range(0, len(pixels), step)])

    def _call(self, pixels: NDArray[np.uint8]) -> Arrays:
        missing = self._limits.least - len(pixels)
        if missing <= 0:
            return self._engine(pixels)
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
        return {name: found[: len(pixels)] for name, found in self._engine(filled).items()}
