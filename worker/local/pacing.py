"""Compute when each frame of each source is due; no clock is read here."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import repeat, takewhile
from typing import Final, NamedTuple

from worker.domain.frames import CapturedFrame

PICTURES_PER_SECOND: Final = 10.0
"""The default rate of pictures without capture times."""

Reader = Callable[[], Iterable[CapturedFrame]]
"""Returns a source's frames from the beginning at every call."""


class Due(NamedTuple):
    """A frame, and when to send it, in seconds from the start."""

    seconds: float
    frame: CapturedFrame


def timeline(read: Reader, rate: float | None = None, *, rounds: int | None = 1) -> Iterator[Due]:
    """Yield one source's frames with their due times, round after round.

    Args:
        read: returns the frames in sending order; called once per round.
        rate: frames per second; None keeps the intervals between the capture times. A frame that was captured before
            its predecessor is then due together with it, and a round follows the previous one after the mean interval.
        rounds: number of rounds; None means endless.
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
        begin = end + (mean or 1 / (rate or PICTURES_PER_SECOND))


def interleave(timelines: Iterable[Iterator[Due]], seconds: float | None = None) -> Iterator[Due]:
    """Merge several sources by due time, up to `seconds` from the start.

    The next frame of a source is read when its previous one is taken, so a device that waits for its sensor delays the
    other sources.
    """
    merged = merge(*timelines, key=lambda due: due.seconds)
    return merged if seconds is None else takewhile(lambda due: due.seconds < seconds, merged)
