"""Whether a model's probabilities can be believed: of what it calls 80 % likely, 80 of 100 should be right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.evaluation.judged import Judged


@dataclass(frozen=True, slots=True)
class Bin:
    """The predictions whose probability lies in one range.

    Attributes:
        low: where the range begins.
        high: where the next one begins; the last range includes it.
        frames: predictions in it.
        sure: their mean probability; None of none.
        right: the share of them that is right; None of none.
    """

    low: float
    high: float
    frames: int
    sure: float | None
    right: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How probabilities and shares agree.

    Attributes:
        bins: equally wide, from 0 to 1.
        error: the expected calibration error: mean distance of `sure` and `right`, weighted by frames; None of nothing.
    """

    bins: tuple[Bin, ...]
    error: float | None


def calibration(rows: Sequence[Judged], *, bins: int = 10) -> Calibration:
    """Compare the probability of the most likely class with how often it is right.

    M. P. Naeini and others, Obtaining well calibrated probabilities using Bayesian binning (AAAI 2015).

    Args:
        rows: labelled predictions.
        bins: how many ranges of equal width.
    """
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    sure = np.array([each.probability for each in rows], np.float32)
    right = np.array([each.right for each in rows], np.float64)
    places = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = places == number
        frames = int(inside.sum())
        means = (float(sure[inside].mean(dtype=np.float64)), float(right[inside].mean())) if frames else (None, None)
        found.append(Bin(float(edges[number]), float(edges[number + 1]), frames, *means))
    apart = sum(each.frames * abs(each.sure - each.right) for each in found if each.sure is not None is not each.right)
    return Calibration(tuple(found), apart / len(rows) if len(rows) else None)
