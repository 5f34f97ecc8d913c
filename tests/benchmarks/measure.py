"""Compute rates from times, and medians and ratios from rates. Pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression, median

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, minimum and maximum of several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise one value per round."""
        return cls(median(values), min(values), max(values))

    def cells(self, digits: int = 1) -> list[str]:
        """Format it for two columns of a table."""
        return [f"{self.median:.{digits}f}", f"{self.low:.{digits}f} to {self.high:.{digits}f}"]


def rate(times: Sequence[float], begin: float, end: float) -> float:
    """Return the number of results per second between two times.

    Results arrive in batches, and a batch arrives in parts, its partitions some milliseconds apart. So the first and
    the last batch of an interval may be incomplete. The rate is the slope of the least-squares line through all counts,
    which hardly depends on these two batches.

    Args:
        times: arrival time of each result, in seconds, in any order.
        begin: start of the interval.
        end: end of the interval.

    Raises:
        ValueError: all results arrived within a small part of the interval, and so perhaps in one batch.
    """
    if not spans(times, begin, end):
        raise ValueError(f"the results within {end - begin:.1f} s are too few, or too close together, for a rate")
    within = _within(times, begin, end)
    return linear_regression(within, range(len(within))).slope


def spans(times: Sequence[float], begin: float, end: float) -> bool:
    """Tell whether results arrived over at least half of an interval; arguments as of `rate`."""
    within = _within(times, begin, end)
    return len(within) > 1 and within[-1] - within[0] >= (end - begin) / 2


def _within(times: Sequence[float], begin: float, end: float) -> Sequence[float]:
    return sorted(time for time in times if begin <= time <= end)


def alternate(
    contestants: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[int, str, float], None]
) -> dict[str, list[float]]:
    """Run each contestant once per round, alternately forwards and backwards: so drift of the machine affects all.

    Args:
        contestants: functions that run a contestant and return its rate.
        rounds: number of rounds.
        tell: is called with the round (from 1), the contestant and its rate.

    Returns:
        The rates of each contestant, round by round.
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name in list(contestants)[:: 1 if number % 2 else -1]:
            rates[name].append(contestants[name]())
            tell(number, name, rates[name][-1])
    return rates


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Return the ratios of each round: two runs of one round had similar conditions."""
    return Spread.of([numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True)])


def best_of(contestants: Mapping[str, Sequence[float]]) -> str:
    """Return the name of the contestant with the greatest median."""
    return max(contestants, key=lambda name: median(contestants[name]))


def percentiles(values: Sequence[float], of: Sequence[float] = (50, 95, 99)) -> list[float]:
    """Return percentiles of values, in the requested order."""
    return [float(each) for each in np.percentile(values, of)]
