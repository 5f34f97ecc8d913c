"""Another program that keeps a core busy in random bursts, a third of the time.

with noise(seed=1):
    ...
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from tests.support.another_program import another_program

BUSY: Final = (0.2, 15.0)
"""Shortest and longest seconds that a core is busy."""
IDLE: Final = (0.2, 30.0)
"""Shortest and longest seconds between."""


@contextmanager
def noise(seed: int) -> Iterator[None]:
    """Run the program until the block ends."""
    with another_program(sys.executable, "-m", "tests.benchmarks.noise", str(seed), str(os.getpid())):
        yield


def _main(seed: int, for_process: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - not a secret
    while psutil.pid_exists(for_process):
        ends = time.monotonic() + rng.uniform(*BUSY)
        while time.monotonic() < ends:
            pass
        time.sleep(rng.uniform(*IDLE))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
