"""What a piece of work costs: seconds of its own, and seconds for each frame in it."""

import math
from typing import Final

MEMORY: Final = 200
"""Pieces of work after which the weight of one has fallen to a third."""
DOUBT: Final = 1.0
"""Variance of the frames, squared, below which the seconds are not split: equal batches do not tell the two apart."""
CREDIBLE: Final = 4.0
"""A piece that took longer than this many times the prediction counts as that long: a stall says little of the next."""


class LinearCost:
    """A line through what was measured, seconds = base + frames * each, that forgets exponentially.

    Least squares, with the split pulled towards "all of it is for the frames" where batches were of one size. Batches
    are taken to be worth no more than was seen.

    Attributes:
        base: seconds, at least 0.
        each: seconds a frame, at least 0.
        known: pieces of work seen.
    """

    def __init__(self) -> None:
        self.base = self.each = 0.0
        self.known = 0
        self._frames = self._seconds = self._variance = self._covariance = 0.0

    def note(self, frames: int, seconds: float) -> None:
        """Take in one piece of work, of at least one frame."""
        if self.known:
            seconds = min(seconds, CREDIBLE * self.of(frames))
        self.known += 1
        weight = max(1 / self.known, 1 / MEMORY)
        by_frames, by_seconds = frames - self._frames, seconds - self._seconds
        self._frames += weight * by_frames
        self._seconds += weight * by_seconds
        self._variance += weight * ((1 - weight) * by_frames**2 - self._variance)
        self._covariance += weight * ((1 - weight) * by_frames * by_seconds - self._covariance)
        share = self._seconds / self._frames
        self.each = min(share, max(0.0, (self._covariance + DOUBT * share) / (self._variance + DOUBT)))
        self.base = max(0.0, self._seconds - self.each * self._frames)

    def of(self, frames: float) -> float:
        """Return the seconds that n frames take."""
        return self.base + self.each * frames

    def within(self, seconds: float) -> float:
        """Return the most frames that take no longer than these seconds; at least 1."""
        left = seconds - self.base
        return math.inf if self.each == 0 and left >= 0 else max(1.0, left / self.each if self.each else 1.0)

    def sustains(self, rate: float, *, utilisation: float, overhead: float) -> float:
        """Return the fewest frames at once with which the work keeps up.

        Args:
            rate: frames a second that come.
            utilisation: share of the time that may be spent working.
            overhead: largest share of the work that is worth saving: beyond it, larger batches gain next to nothing.
        """
        spare = utilisation - rate * self.each
        enough = rate * self.base / spare if spare > 0 else math.inf
        worth = self.base / self.each * (1 / overhead - 1) if self.each else math.inf
        return min(enough, worth) if self.base else 0.0
