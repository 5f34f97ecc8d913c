"""Hand over the newest values from threads to a slower thread, and count what was dropped."""

import threading
from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Keeps the newest values of each key until they are taken. Nobody waits to put one in.

    Keys take turns, and the values of a key keep their order.

    Args:
        limit: number of values that are kept for each key; a further one replaces the oldest.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, deque[T]] = OrderedDict()
        self._dropped = Counter[str]()
        self._failure: Exception | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, key: str, value: T) -> None:
        """Add a value; drop and count the oldest of its key if there are too many."""
        with self._changed:
            values = self._kept.setdefault(key, deque())
            values.append(value)
            if len(values) > self._limit:
                values.popleft()
                self._dropped[key] += 1
            self._changed.notify()

    def count_dropped(self, key: str) -> None:
        """Count a value that was dropped before it came here."""
        with self._changed:
            self._dropped[key] += 1

    def take(self, timeout: float | None = None) -> T | None:
        """Return the oldest value of the next key.

        Args:
            timeout: seconds to wait for a value; None waits without a limit.

        Returns:
            The value; None if there was none in time, or if there will be none any more.

        Raises:
            Exception: the one that `fail` was given.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._kept or self._closed or self._failure, timeout)
            if self._failure is not None:
                raise self._failure
            if not self._kept:
                return None
            key, values = self._kept.popitem(last=False)
            value = values.popleft()
            if values:
                self._kept[key] = values
            return value

    def close(self) -> None:
        """Tell who takes that no further value will come; those that are here may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, failure: Exception) -> None:
        """Raise an exception where values are taken."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it is closed and everything was taken."""
        with self._changed:
            return self._closed and not self._kept and self._failure is None

    @property
    def dropped(self) -> Counter[str]:
        """Number of dropped values by key, so far."""
        with self._changed:
            return self._dropped.copy()
