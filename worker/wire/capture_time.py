"""Read when a frame was captured, and refuse a time that cannot be right."""

import re
from typing import Final

from worker.domain.times import EventMillis

MAX_CLOCK_AHEAD: Final = 3_600_000
"""Milliseconds that a capture time may be ahead of the worker's clock: a frame from the future would make all later
frames of its camera late. The past has no limit, because recordings are replayed."""

_WHAT_TO_SEND: Final = "send whole milliseconds since the epoch, in decimal digits, such as 1700000000000"
_FORMS: Final = (
    ("looks like a date", re.compile(rb"\s*\d{4}-\d\d?-\d\d?|\s*\d{4}\d\d\d\dT\d\d|\s*[A-Z][a-z][a-z],? ")),
    ("looks like seconds with a fraction", re.compile(rb"\d{1,11}\.\d*")),
    ("has a fraction", re.compile(rb"\d+\.\d*|\d(\.\d+)?[eE]\+?\d+")),
    ("is before 1970", re.compile(rb"-\d")),
    ("looks like a binary number", re.compile(rb"(?=.*[^ -~]).{4}(.{4})?\Z", re.DOTALL)),
)
_EARLIEST: Final = 978_307_200_000
_LATEST: Final = 4_102_444_800_000
"""The years 2001 and 2100. A number that is a time between them in another unit is taken to be in that unit; in
milliseconds it would lie within some weeks of 1970, or thousands of years ahead."""
LATEST_SECONDS: Final = _LATEST // 1_000
_UNITS: Final = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))


def captured_at(raw: bytes) -> int:
    """Read the header `captured-at`, in milliseconds since the epoch.

    Raises:
        ValueError: it is no whole number; says what it looks like.
    """
    if raw.isdigit() and len(raw) <= len(str(2**63)):
        return int(raw)
    form = next((name for name, pattern in _FORMS if pattern.match(raw)), "is too large" if raw.isdigit() else "")
    raise ValueError(f"this {form}: {_WHAT_TO_SEND}" if form else _WHAT_TO_SEND)


def wrong_unit(at: int) -> str | None:
    """Tell what is wrong with a number that is a time of this century only in a unit other than milliseconds."""
    for unit, times, divided_by in _UNITS:
        if _EARLIEST <= at * times // divided_by < _LATEST:
            return f"this looks like {unit}: send milliseconds since the epoch, such as {at * times // divided_by}"
    return None


def too_far_ahead(at: int, arrived_at: EventMillis) -> str | None:
    """Tell by how much a capture time is too far ahead of the worker's clock; None if it is not."""
    if at <= arrived_at + MAX_CLOCK_AHEAD:
        return None
    hours = (at - arrived_at) / 3_600_000
    return f"this is {hours:.1f} hours ahead of the worker's clock, which says {arrived_at}"
