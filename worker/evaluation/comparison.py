"""Which of two models is better on the same pictures, and whether that may be chance."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from worker.evaluation.judged import Judged


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the frames that both have predicted.

    Attributes:
        both_right: frames that both have right.
        only_first: frames that the first alone has right.
        only_second: frames that the second alone has right.
        both_wrong: frames that both have wrong.
        p_value: how likely a difference as large as this is if both models are equally good.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float

    @property
    def frames(self) -> int:
        """Frames that both have predicted."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong


def mcnemar(only_first: int, only_second: int) -> float:
    """Return how likely a difference as large as this is by chance.

    The exact test of Q. McNemar (1947): of the frames on which two equally good models differ, each has half right.
    Like every such test it takes frames for independent; those of one camera are not.

    Args:
        only_first: frames that the first model alone has right.
        only_second: frames that the second model alone has right.

    >>> mcnemar(1, 9)
    0.021484375
    """
    differ, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(differ, number) for number in range(fewer + 1))
    return min(1.0, float(Fraction(2 * tail, 2**differ)))


def compare(first: Iterable[Judged], second: Iterable[Judged]) -> Comparison:
    """Compare two models frame by frame; a frame that only one has predicted is left out."""
    others = {each.offset: each.right for each in second}
    pairs = [(each.right, others[each.offset]) for each in first if each.offset in others]
    return Comparison(
        both_right=pairs.count((True, True)),
        only_first=pairs.count((True, False)),
        only_second=pairs.count((False, True)),
        both_wrong=pairs.count((False, False)),
        p_value=mcnemar(pairs.count((True, False)), pairs.count((False, True))),
    )
