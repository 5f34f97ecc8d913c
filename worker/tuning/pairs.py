"""Compare two candidates by pairs of runs, one right after the other, so that a slow minute affects both of a pair.

A machine's speed varies by much more than what candidates differ by: other programs, heat, neighbours in a data centre.
Two rates that were measured at different times say little. The ratio of two runs in a row says more, and the middle
of many such ratios is what is wanted. It is estimated as Hodges and Lehmann do, with the interval that belongs to
Wilcoxon's signed-rank test: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd edition, 3.2 and 3.3. It
assumes no distribution, and a few runs that went wrong do not move it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

EQUAL: Final = 1.02
"""A smaller ratio of two speeds does not count: to tell it from none would take more pairs than it is worth."""
LEAST: Final = 8
"""Pairs below which no difference is certain: with seven, the interval has less than its confidence."""
MOST: Final = 64
"""Pairs after which the estimate decides."""
NARROW: Final = 1.06
"""An interval of this width is enough to rank candidates."""

_AT_LEAST: Final = 2
"""New pairs each time: one for each order."""
_CONFIDENCE: Final = 2.58
"""Standard deviations of the normal distribution for 99 %: more than usual, because there is a look after each pair."""

Verdict = Literal["slower", "equal", "faster"]


class Run(NamedTuple):
    """One run of a candidate.

    Attributes:
        per_second: predictions, or samples of the model, per second.
        took: seconds of the run, with what is needed before and after it.
    """

    per_second: float
    took: float


class Pair(NamedTuple):
    """A run of each of two candidates, one right after the other."""

    challenger: Run
    champion: Run


class Ratio(NamedTuple):
    """How many times as fast as the champion a challenger is: an interval, and the estimate in its middle."""

    low: float
    middle: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the estimate says."""
        return _verdict(self.middle)

    def is_certain(self) -> bool:
        """Whether the whole interval says the same."""
        return _verdict(self.low) == _verdict(self.high)

    def ranks(self) -> bool:
        """Whether it is enough to rank the challenger: it is certainly slower, or its speed is known closely."""
        return _verdict(self.high) == "slower" or self.high / self.low <= NARROW


SAME: Final = Ratio(1.0, 1.0, 1.0)
"""Of a candidate to itself."""


def ratio_of(pairs: Sequence[Pair]) -> Ratio:
    """Estimate the ratio of two speeds from at least one pair.

    >>> ratio_of([Pair(Run(12, 1), Run(10, 1))] * 3 + [Pair(Run(3, 1), Run(10, 1))]).middle
    1.2
    """
    logs = [math.log(each.challenger.per_second / each.champion.per_second) for each in pairs]
    count = len(logs)
    means = sorted((one + other) / 2 for number, one in enumerate(logs) for other in logs[number:])
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    left_out = max(0, math.floor(len(means) / 2 - _CONFIDENCE * deviation))
    half = len(means) // 2
    middle = (means[half] + means[~half]) / 2
    return Ratio(*(round(math.exp(each), 6) for each in (means[left_out], middle, means[~left_out])))


def add_pairs(
    pairs: Sequence[Pair],
    challenger: Callable[[], Run],
    champion: Callable[[], Run],
    *,
    at_least: int,
    up_to: int,
    seconds: float,
    enough: Callable[[Ratio], bool],
) -> Sequence[Pair]:
    """Measure more pairs. The two take turns in being the first of a pair.

    Args:
        pairs: what there is already.
        challenger: runs one of the two candidates.
        champion: runs the other.
        at_least: number of pairs in all before which `enough` is not asked.
        up_to: number of pairs in all.
        seconds: time for new pairs; at least two are measured, however long they take.
        enough: tells whether a ratio says what is to be known.
    """
    found, spent = list(pairs), 0.0
    while len(found) < up_to and (spent < seconds or len(found) < len(pairs) + _AT_LEAST):
        if len(found) >= at_least and enough(ratio_of(found)):
            break
        if len(found) % 2:
            second = champion()
            pair = Pair(challenger(), second)
        else:
            pair = Pair(challenger(), champion())
        found.append(pair)
        spent += pair.challenger.took + pair.champion.took
    return found


def _verdict(ratio: float) -> Verdict:
    if ratio > EQUAL:
        return "faster"
    return "slower" if ratio < 1 / EQUAL else "equal"
