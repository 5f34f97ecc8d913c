"""How sure a share is that was counted: 95% intervals of independent and of grouped observations."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

_Z: Final = 1.959963984540054
"""The normal distribution has 95% within this many standard deviations."""
_RESAMPLES: Final = 2000
FEWEST_GROUPS: Final = 5
"""With fewer groups, resampling them says nothing."""


class Interval(NamedTuple):
    """From where to where a share is, with 95% confidence."""

    low: float
    high: float


def wilson(right: int, total: int) -> Interval:
    """Return Wilson's interval of a share of independent observations.

    >>> [round(each, 3) for each in wilson(98, 100)]
    [0.93, 0.994]

    Args:
        right: how many of `total` count.
        total: how many there are; with none, the share may be anything.
    """
    if total == 0:
        return Interval(0.0, 1.0)
    share, z2 = right / total, _Z * _Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    reach = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    # At its ends, the interval is exact, whatever the last bit of the sums says.
    return Interval(middle - reach if right else 0.0, middle + reach if right < total else 1.0)


def grouped(right: Sequence[int], totals: Sequence[int]) -> Interval | None:
    """Return the interval of a share whose observations come in groups, such as the frames of a camera.

    Whole groups are drawn again and again, because the frames of one camera are alike (the cluster bootstrap). Equal
    counts give equal intervals.

    Args:
        right: for each group, how many of its observations count.
        totals: for each group, how many observations it has.

    Returns:
        None with fewer than `FEWEST_GROUPS` groups that have observations.
    """
    counts = np.array([pair for pair in zip(right, totals, strict=True) if pair[1]], dtype=float).reshape(-1, 2)
    if len(counts) < FEWEST_GROUPS:
        return None
    drawn = np.random.default_rng(0).integers(0, len(counts), (_RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return Interval(float(low), float(high))


def share_interval(right: Sequence[bool], groups: Sequence[str]) -> Interval | None:
    """Return the interval of the share that is right: over groups, if any of them has several observations.

    Args:
        right: of each observation, whether it counts.
        groups: of each observation, the camera or video that it is from.

    Returns:
        None if groups have several observations and are fewer than `FEWEST_GROUPS`.
    """
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    hits, totals = np.asarray(right, dtype=bool), np.bincount(index, minlength=len(names))
    if totals.max(initial=0) <= 1:
        return wilson(int(hits.sum()), len(hits))
    found = np.bincount(index, weights=hits, minlength=len(names)).astype(int)
    return grouped(found.tolist(), totals.tolist())
