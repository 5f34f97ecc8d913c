"""Executors for tests that say themselves when something happens."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any


class Inline(Executor):
    """Does at once, in the caller's thread, what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 whoever asks for the result gets it
            future.set_exception(error)
        return future


class Held(Executor):
    """Does what it is given when it is told to or when somebody waits for it, first in, first out."""

    def __init__(self) -> None:
        self._held: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = _Awaited(self)
        self._held.append((future, partial(fn, *args, **kwargs)))
        return future

    def do(self, count: int = 1) -> None:
        """Do the next of what is held."""
        for _ in range(min(count, len(self._held))):
            future, work = self._held.popleft()
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 whoever asks for the result gets it
                future.set_exception(error)

    def __len__(self) -> int:
        return len(self._held)


class _Awaited(Future[Any]):
    def __init__(self, executor: Held) -> None:
        super().__init__()
        self._executor = executor

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self._executor.do()
        return super().result(timeout)
