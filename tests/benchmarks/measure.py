"""Times to rates, rates to medians and ratios: values in, values out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression, median

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up one value a round."""
        return cls(median(values), min(values), max(values))

    def cells(self, digits: int = 1) -> list[str]:
        """Write it for two columns of a table."""
        return [f"{self.median:.{digits}f}", f"{self.low:.{digits}f} to {self.high:.{digits}f}"]


def rate(times: Sequence[float], begin: float, end: float) -> float:
    """Return how many results a second came between two times.

    Results come in batches, and a batch in parts, a partition some milliseconds after the other. So no batch in which
    counting could begin or end is sure to be whole; the rate is the slope of the line that fits all counts best, by
    least squares, which hardly depends on the first batch and the last.

    Args:
        times: when each result came, in seconds, in any order.
        begin: of the time that counts.
        end: of it.

    Raises:
        ValueError: fewer than two batches came.
    """
    within = sorted(time for time in times if begin <= time <= end)
    if not within or within[0] == within[-1]:
        raise ValueError(f"{len(within)} results in {end - begin:.1f} s are too few for a rate")
    return linear_regression(within, range(len(within))).slope


def alternate(
    contestants: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[int, str, float], None]
) -> dict[str, list[float]]:
    """Let each contestant run once a round, forwards and backwards in turn: what drifts on the machine meets all.

    Args:
        contestants: what runs each of them, and returns what it reached.
        rounds: how many.
        tell: is told the round, from 1, the contestant and what it reached.

    Returns:
        What each contestant reached, round by round.
    """
    reached: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name in list(contestants)[:: 1 if number % 2 else -1]:
            reached[name].append(contestants[name]())
            tell(number, name, reached[name][-1])
    return reached


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Divide round by round: two runs of one round have met the same machine."""
    return Spread.of([over / under for over, under in zip(above, below, strict=True)])


def best_of(contestants: Mapping[str, Sequence[float]]) -> str:
    """Return the name of the one whose median is the greatest."""
    return max(contestants, key=lambda name: median(contestants[name]))


def percentiles(values: Sequence[float], of: Sequence[float] = (50, 95, 99)) -> list[float]:
    """Return percentiles of values, in the order asked for."""
    return [float(each) for each in np.percentile(values, of)]
