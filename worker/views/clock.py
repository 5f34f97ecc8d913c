"""Capture times for people."""

from datetime import UTC, datetime, timedelta
from typing import Final

from worker.domain.times import EventMillis

_FIRST_DATE: Final = 365 * 86_400_000
"""Times in the first year after the epoch are those of recordings, which begin at 0: they have no date."""
_LAST_DATE: Final = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: Python knows no later date."""


def clock(at: EventMillis) -> str:
    """Write a capture time to the millisecond, in UTC; without a date where it is a position in a recording."""
    if not 0 <= at <= _LAST_DATE:
        return f"{at} ms"  # of a clock that is wrong
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    written = moment.strftime("%H:%M:%S.") + f"{at % 1000:03}"
    return written if at < _FIRST_DATE else f"{moment:%Y-%m-%d} {written}"
