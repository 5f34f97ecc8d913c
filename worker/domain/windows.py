"""Tumbling windows over event time: arithmetic only."""

from dataclasses import dataclass

from worker.domain.times import EventMillis


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of event time, `start` included and `end` not, in milliseconds."""

    start: EventMillis
    end: EventMillis

    def __contains__(self, at: EventMillis) -> bool:
        return self.start <= at < self.end

    def of_same_size(self, at: EventMillis) -> "Window":
        """Return the window of the same size that holds `at`."""
        return TumblingWindows(self.end - self.start).of(at)


@dataclass(frozen=True, slots=True)
class TumblingWindows:
    """Windows of one size that lie end to end and start at the epoch.

    Attributes:
        size: milliseconds, at least 1.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a window is at least 1 ms long, not {self.size}")

    def of(self, at: EventMillis) -> Window:
        """Return the one window that holds `at`."""
        start = at - at % self.size
        return Window(EventMillis(start), EventMillis(start + self.size))


@dataclass(slots=True)
class Watermark:
    """How far the event time of a camera has come: the largest capture time seen, less the allowed lateness.

    Attributes:
        lateness: milliseconds that a frame may come after a newer one without being late.
    """

    lateness: int
    largest: EventMillis | None = None

    def see(self, at: EventMillis) -> None:
        """Move on to `at`; never moves back."""
        if self.largest is None or at > self.largest:
            self.largest = at

    def passed(self, window: Window) -> bool:
        """Tell whether no frame of the window is waited for any more."""
        return self.largest is not None and self.largest - self.lateness >= window.end
