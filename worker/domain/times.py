"""The two kinds of time, which are never mixed."""

from typing import NewType

EventMillis = NewType("EventMillis", int)
"""Wall-clock milliseconds since the epoch: when something happened in the world."""

Monotonic = NewType("Monotonic", float)
"""Seconds of a clock that only moves forward: how long we have waited."""
