"""A pool of engines for several threads: each call takes a free engine."""

from collections.abc import Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine


class Streams:
    """A pool of engines; implements `domain.arrays.Engine`.

    Args:
        engines: engines that may each be called by one thread at a time.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._free = SimpleQueue[Engine]()
        for engine in engines:
            self._free.put(engine)

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch on a free engine; wait while all are in use."""
        engine = self._free.get()
        try:
            return engine(pixels)
        finally:
            self._free.put(engine)
