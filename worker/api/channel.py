"""A queue of limited length between two threads, which either side can close."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The channel was closed: nothing more can be put, or everything was taken."""


class Channel(Generic[T]):
    """Passes items from one thread to another.

    Args:
        size: items that wait at most; who puts more has to wait.

    Attributes:
        closed: nothing can be put any more.
        error: why it was closed early; None if it was not.
    """

    def __init__(self, size: int) -> None:
        self.closed = False
        self.error: BaseException | None = None
        self._size = size
        self._items = deque[T]()
        self._changed = Condition()

    def put(self, item: T) -> None:
        """Add an item; wait while the channel is full.

        Raises:
            Closed: nobody will take it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or len(self._items) < self._size)
            if self.closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T:
        """Return the oldest item; wait while there is none.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: there was none for so long.
            Closed: there is none, and none will come.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed or self._items, timeout):
                raise TimeoutError
            if not self._items:
                raise Closed
            self._changed.notify_all()
            return self._items.popleft()

    def end(self, error: BaseException | None = None) -> None:
        """Put nothing more; what waits can still be taken. Only the first call counts."""
        with self._changed:
            if not self.closed:
                self.closed, self.error = True, error
                self._changed.notify_all()

    def abandon(self) -> None:
        """Take nothing more; what waits is dropped."""
        self.end()
        with self._changed:
            self._items.clear()
