"""How a process's memory grows: all the time, as a leak does, or in steps.

Steps come of layers that find no room between what is kept: within ten minutes a worker with MobileNetV2, in calls of
1 to 8 frames, had become larger by 4.6 to 66 MiB while its model and its loop shared a heap. A leak goes on in every
quarter.
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
