"""Judge whether a process's memory is bounded: its highest value after the warm-up against its highest value in it.

A single reading depends on luck: memory comes and goes with the calls, and grows in steps where a call needs more than
any before. So the highest values of two times are compared. The warm-up has to contain every load that comes later. A
leak below the highest value of the warm-up shows too: it raises the highest value of every fifth of the time.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_FIFTHS: Final = 5


class Growth(NamedTuple):
    """The growth of a process's memory after its warm-up.

    Attributes:
        highest: MiB, of all measurements.
        beyond: MiB by which memory was higher after the warm-up than in it; steps count, whenever they come.
        steady: MiB of growth after the warm-up if every fifth had grown as little as the one that grew least.
    """

    highest: float
    beyond: float
    steady: float

    def faults(self, limit: float) -> list[str]:
        """Say what is more than the limit, in MiB."""
        found = {
            f"memory grew by {self.beyond:.1f} MiB beyond its highest value of the warm-up": self.beyond,
            f"memory grew steadily, by {self.steady:.1f} MiB": self.steady,
        }
        return [f"{text}: at most {limit:g} are allowed" for text, grown in found.items() if grown > limit]


def growth(seconds: Sequence[float], mebibytes: Sequence[float], *, warm: float) -> Growth:
    """Return the growth of a process's memory.

    Args:
        seconds: when it was measured, ascending, at regular intervals.
        mebibytes: what was measured.
        warm: seconds at which the warm-up ended.

    Raises:
        ValueError: too few measurements: there must be one in the warm-up, and five after it.
    """
    before = [each for at, each in zip(seconds, mebibytes, strict=True) if at <= warm]
    after = [each for at, each in zip(seconds, mebibytes, strict=True) if at > warm]
    if not before or len(after) < _FIFTHS:
        raise ValueError(
            f"{len(before)} measurements in the warm-up and {len(after)} after it cannot be judged: measure for longer"
        )
    ends = [len(after) * fifth // _FIFTHS for fifth in range(_FIFTHS + 1)]
    highs = [max(after[start:end]) for start, end in pairwise(ends)]
    return Growth(
        highest=max(mebibytes),
        beyond=max(after) - max(before),
        steady=_FIFTHS * min(later - earlier for earlier, later in pairwise(highs)),
    )
