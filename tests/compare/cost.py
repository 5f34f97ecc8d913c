"""What does a frame cost in Python? Calls and instructions, counted as `python -m tests.benchmarks.path` does it."""

import re
import sys
from typing import Final

from tests.benchmarks.path import Cost
from tests.compare.checkout import Checkout, CommandFailed

_TOTAL: Final = re.compile(r"\ball\W+([\d.]+)[^\w.]+([\d.]+)[^\w.]+([\d.]+)")


def compare_cost(before: Checkout, after: Checkout) -> bool:
    """Count at both commits, and show the totals next to each other; a change is no fault.

    Raises:
        CommandFailed: a commit cannot count.
    """
    old, new = (_count(checkout) for checkout in (before, after))
    sys.stdout.write("cost of a frame, before and after:\n")
    for name in Cost.__slots__:
        less, more = getattr(old, name), getattr(new, name)
        sys.stdout.write(f"  {name}: {less:.2f} {more:.2f} ({more / less - 1:+.2%})\n")
    sys.stdout.flush()
    return True


def total_of(printed: str) -> Cost | None:
    """Read the last row, the total, of the table that `tests.benchmarks.path` prints; None if there is none."""
    found = _TOTAL.findall(printed)
    return Cost(*map(float, found[-1])) if found else None


def _count(checkout: Checkout) -> Cost:
    printed = checkout.python("-m", "tests.benchmarks.path")
    if (found := total_of(printed)) is None:
        raise CommandFailed(f"tests.benchmarks.path of {checkout.role} printed no total:\n{printed}")
    return found
