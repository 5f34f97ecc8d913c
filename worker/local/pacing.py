"""When each frame of each source is due: no clock is read here."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import repeat, takewhile
from typing import Final, NamedTuple

from worker.domain.frames import CapturedFrame

PICTURES_A_SECOND: Final = 10.0
"""The rate of pictures that have no capture times, where none is given."""

Reader = Callable[[], Iterable[CapturedFrame]]
"""Gives a source's frames from the beginning, each time it is called."""


class Due(NamedTuple):
    """A frame and when it is to be sent, in seconds from the beginning."""

    seconds: float
    frame: CapturedFrame


def timeline(read: Reader, rate: float | None = None, *, rounds: int | None = 1) -> Iterator[Due]:
    """Lay one source's frames out in time, round after round.

    Args:
        read: gives the frames in the order to send them; called once a round.
        rate: frames a second; None for the distances at which they were captured, where one that was captured before
            its predecessor is due with it. Then a round follows the one before it at their mean distance.
        rounds: how often to show them; None for ever.
    """
    begin = 0.0
    for _ in repeat(None) if rounds is None else repeat(None, rounds):
        number, end, first = 0, begin, None
        for number, frame in enumerate(read(), start=1):
            first = frame.captured_at if first is None else first
            due = begin + ((number - 1) / rate if rate else (frame.captured_at - first) / 1000)
            end = max(end, due)
            yield Due(due, frame)
        mean = (end - begin) / (number - 1) if number > 1 else 0.0
        begin = end + (mean or 1 / (rate or PICTURES_A_SECOND))


def interleave(timelines: Iterable[Iterator[Due]], seconds: float | None = None) -> Iterator[Due]:
    """Merge several sources by when their frames are due, up to `seconds` from the beginning.

    Each source is asked for its next frame as soon as its last one is taken, so a device that waits for its sensor
    holds the others back for as long.
    """
    merged = merge(*timelines, key=lambda due: due.seconds)
    return merged if seconds is None else takewhile(lambda due: due.seconds < seconds, merged)
