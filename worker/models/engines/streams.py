"""Several engines for as many callers: whoever comes gets one that is free."""

from collections.abc import Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine


class Streams:
    """Lends its engines, one to each caller at a time; implements `domain.arrays.Engine`.

    Args:
        engines: each may be called by one thread at a time.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._free = SimpleQueue[Engine]()
        for engine in engines:
            self._free.put(engine)

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch; waits while every engine is in use."""
        engine = self._free.get()
        try:
            return engine(pixels)
        finally:
            self._free.put(engine)
