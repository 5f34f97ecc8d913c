"""How sure a share is that was counted on few pictures."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

_NORMAL_95: Final = 1.959963984540054
_DRAWS: Final = 2000


class Interval(NamedTuple):
    """A range that holds the true share in 95 of 100 such measurements."""

    low: float
    high: float


def wilson(right: int, total: int) -> Interval | None:
    """Return the 95 % interval of a share of independent trials; None of no trials.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).

    >>> tuple(round(end, 4) for end in wilson(90, 100))
    (0.8256, 0.9448)
    """
    if total == 0:
        return None
    share, spread = right / total, _NORMAL_95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _NORMAL_95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def by_camera(outcomes: Iterable[tuple[str, bool]], *, seed: int = 0) -> Interval | None:
    """Return the 95 % interval of the share that is right, with the cameras as the unit that was drawn by chance.

    The frames of one camera resemble each other, so an interval that takes them for independent is too narrow. This
    one is a bootstrap of whole cameras.

    Args:
        outcomes: of each frame, its camera and whether it is right.
        seed: of the draws.

    Returns:
        None with fewer than two cameras: one camera does not show how different cameras are.
    """
    right, total = dict[str, int](), dict[str, int]()
    for camera, is_right in outcomes:
        right[camera] = right.get(camera, 0) + is_right
        total[camera] = total.get(camera, 0) + 1
    if len(total) < 2:
        return None
    rights, totals = np.array([right[each] for each in total]), np.array(list(total.values()))
    drawn = np.random.default_rng(seed).integers(0, len(totals), (_DRAWS, len(totals)))
    shares = rights[drawn].sum(axis=1) / totals[drawn].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return Interval(float(low), float(high))


def share_interval(outcomes: Sequence[tuple[str, bool]]) -> Interval | None:
    """Return `by_camera` where cameras have several frames each, and `wilson` where each frame is on its own."""
    cameras = {camera for camera, _ in outcomes}
    if len(cameras) in {0, len(outcomes)}:
        return wilson(sum(is_right for _, is_right in outcomes), len(outcomes))
    return by_camera(outcomes)
