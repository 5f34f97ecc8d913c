"""Measure how a process's memory grows: steadily, as with a leak, or in steps.

Steps occur when a layer's memory does not fit between objects that are kept: a worker with MobileNetV2, in calls of 1
to 8 frames, grew by 4.6 to 66 MiB within ten minutes while its model and its loop shared a heap. A leak grows in every
quarter of the time.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import linear_regression
from typing import Final, NamedTuple

_PARTS: Final = 4


class Growth(NamedTuple):
    """The growth of a process's memory.

    Attributes:
        slope: MiB per second, steps included: the slope of the least-squares line.
        whole: MiB from the first measurement to the last, steps included.
        steady: MiB of growth in total if every quarter had grown as little as the one with the least growth.
    """

    slope: float
    whole: float
    steady: float


def growth(seconds: Sequence[float], mebibytes: Sequence[float]) -> Growth:
    """Return the growth, given memory at regular intervals, at least five values."""
    last = len(mebibytes) - 1
    ends = [mebibytes[last * quarter // _PARTS] for quarter in range(_PARTS + 1)]
    return Growth(
        slope=linear_regression(seconds, mebibytes).slope,
        whole=mebibytes[-1] - mebibytes[0],
        steady=_PARTS * min(after - before for before, after in pairwise(ends)),
    )
