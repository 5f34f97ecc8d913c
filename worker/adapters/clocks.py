"""This machine's clocks."""

import time

from worker.domain.times import EventMillis, Monotonic


def wall_clock() -> EventMillis:
    """Read the wall clock: what time it is, in milliseconds since the epoch."""
    return EventMillis(time.time_ns() // 1_000_000)


def monotonic_clock() -> Monotonic:
    """Read the monotonic clock, which never goes back, in seconds."""
    return Monotonic(time.monotonic())
