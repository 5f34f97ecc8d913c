"""How many frames one call of the model takes: less after running out of memory, and slowly more again."""

from typing import Final

PATIENCE: Final = 50
"""Calls that must go well before the size grows by an eighth."""


class CallSize:
    """The size of a call.

    Attributes:
        now: frames, at least 1.
    """

    def __init__(self, most: int) -> None:
        self.now = most
        self._most = most
        self._well = 0

    def ran_out(self, fitting: int) -> None:
        """There was no memory for a call; `fitting` frames may fit."""
        self.now = max(1, min(self.now, fitting))
        self._well = 0

    def went_well(self) -> None:
        """A call went well."""
        self._well += 1
        if self.now < self._most and self._well >= PATIENCE:
            self.now = min(self._most, self.now + max(1, self.now // 8))
            self._well = 0
