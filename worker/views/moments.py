"""Moments as people write and read them."""

import re
from datetime import UTC, datetime
from typing import Final

from worker.domain.times import EventMillis

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(rf"(\d{{1,9}})([{''.join(_UNITS)}])")


def moment(text: str, now: EventMillis) -> EventMillis:
    """Parse a time: ISO 8601 (UTC if it has no offset), or an age such as 90s, 30m, 2h, 7d.

    Raises:
        ValueError: it is neither.
    """
    if ago := _DURATION.fullmatch(text):
        return EventMillis(now - int(ago[1]) * _UNITS[ago[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a time such as 2026-01-31T12:00 nor an age such as 30m, 2h, 7d"
        ) from None
    return EventMillis(round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000))


def age(then: EventMillis, now: EventMillis) -> str:
    """Format how long ago something was, in the largest unit that fits."""
    unit = max((unit for unit, size in _UNITS.items() if now - then >= size), key=_UNITS.__getitem__, default="s")
    return f"{max(0, now - then) // _UNITS[unit]}{unit}"


def iso(time: EventMillis) -> str:
    """Format a time for people, in UTC."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
