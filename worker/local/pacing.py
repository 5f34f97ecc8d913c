"""Compute when each frame of each source is due, and which are left out; no clock is read here."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import repeat, takewhile
from typing import Final, NamedTuple

from worker.domain.frames import CapturedFrame

PICTURES_PER_SECOND: Final = 10.0
"""The default rate of pictures without capture times."""

FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 30.0
"""Seconds before a lost camera is opened again: after its first failure, and at most."""

_PICTURE_EVERY: Final = 1.0
"""Seconds after which a playback that is behind shows a picture all the same."""

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

    The next frame of a source is read when its previous one is taken, so a source that waits delays the others.
    """
    merged = merge(*timelines, key=lambda due: due.seconds)
    return merged if seconds is None else takewhile(lambda due: due.seconds < seconds, merged)


def retry_delay(failures: int) -> float:
    """Return the seconds to wait before a camera is opened again: twice as long after each failure, up to a limit.

    Args:
        failures: number of failures since the camera's last frame, at least 1.
    """
    doublings = min(failures - 1, 16)  # far beyond the limit, and no number grows without end
    return min(LONGEST_RETRY, FIRST_RETRY * float(2**doublings))


def thin(arrivals: Iterable[float], rate: float | None) -> Iterator[bool]:
    """Tell for each frame of a live source whether to keep it, so that at most `rate` are kept in a second.

    Args:
        arrivals: when each frame arrived, in seconds.
        rate: frames per second; None keeps all.
    """
    due = 0.0
    for number, arrived in enumerate(arrivals):
        if number == 0:
            due = arrived
        keep = rate is None or arrived >= due
        if rate is not None and keep:
            due = max(due + 1 / rate, arrived)  # a gap is not made up for
        yield keep


def is_late(due: float, now: float, interval: float, shown: float) -> bool:
    """Tell whether a playback in real time drops a frame: the next one is due already.

    If reading alone is too slow for the video, every frame is late. So none is dropped if the last picture is a second
    old.

    Args:
        due: when the frame was to be shown, in seconds.
        now: the current time, in seconds.
        interval: seconds between two frames.
        shown: when the last picture was shown, in seconds.
    """
    return now >= due + interval and now < shown + _PICTURE_EVERY
