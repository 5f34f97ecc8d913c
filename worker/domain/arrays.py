"""What models take and give: arrays with names, one row a sample."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""By name, an array whose first dimension is the sample."""

Engine = Callable[[NDArray[np.uint8]], Arrays]
"""Runs a model on pixels, uint8, batch at least 1; blocks, without holding the GIL.

It takes pictures, (batch, height, width, channels), or clips, (batch, frames, height, width, channels).

It returns the outputs of the graph by the names that the graph's head gives them. It raises MemoryError where there was
no memory for this batch, and any other error where it fails otherwise.
"""


def join(parts: Sequence[Arrays]) -> Arrays:
    """Put the arrays of consecutive parts of a batch together; no arrays without any part."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0] if parts else ()
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
