"""Tells a broken model from bad frames: how large a share of the last frames the model failed on."""

from collections import deque
from typing import Final

from worker.domain.errors import TooManyRejected

RECENT: Final = 100
"""Frames looked back on."""
FEWEST: Final = 8
"""Frames before which no share is judged: one bad frame alone is no broken model."""


class FailureBreaker:
    """A circuit breaker over the last frames that reached the model.

    Args:
        max_share: 0 to 1; more than this share of failures breaks.
    """

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._failures: deque[bool] = deque(maxlen=RECENT)

    def note(self, *, failed: int, answered: int) -> None:
        """Take in one call of the model.

        Raises:
            TooManyRejected: too large a share of the last frames failed.
        """
        self._failures.extend([True] * failed + [False] * answered)
        count = sum(self._failures)
        if len(self._failures) >= FEWEST and count > self._max_share * len(self._failures):
            raise TooManyRejected(
                f"the model failed on {count} of the last {len(self._failures)} frames, more than "
                f"limits.max_failed_share={self._max_share}: it is the model that is broken. Nothing of this batch was "
                "committed; mend the model and start again"
            )
