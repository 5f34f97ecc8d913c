"""Whether a process goes on taking memory, or has once taken more than before and kept it.

A worker keeps what a call of the model frees. Calls have different sizes, so now and then a layer's result finds no
hole that is large enough, and the heap becomes larger by just its size, once: in ten minutes with MobileNetV2 by the
32.2 MiB of seven frames' largest layer, by the 4.6 of one frame's, by the 12.3 of eight frames' first. A leak goes on
in every quarter.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import linear_regression
from typing import Final, NamedTuple

_PARTS: Final = 4


class Growth(NamedTuple):
    """How a process's memory has grown.

    Attributes:
        slope: MiB a second, steps included: of the line with the least squares.
        whole: MiB from the first moment to the last, steps included.
        steady: MiB by which it would have grown as a whole if each quarter had been the one with the least growth.
    """

    slope: float
    whole: float
    steady: float


def growth(seconds: Sequence[float], mebibytes: Sequence[float]) -> Growth:
    """Tell from memory at moments as far from each other, at least five."""
    last = len(mebibytes) - 1
    ends = [mebibytes[last * quarter // _PARTS] for quarter in range(_PARTS + 1)]
    return Growth(
        slope=linear_regression(seconds, mebibytes).slope,
        whole=mebibytes[-1] - mebibytes[0],
        steady=_PARTS * min(after - before for before, after in pairwise(ends)),
    )
