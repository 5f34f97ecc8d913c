"""Executors that let a test decide when work is done."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any


class Inline(Executor):
    """Runs each call at once in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 it is raised where the result is read
            future.set_exception(error)
        return future


class Held(Executor):
    """Runs calls when told to, or when a result is waited for: first in, first out."""

    def __init__(self) -> None:
        self._held: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future = _Awaited(self)
        self._held.append((future, partial(fn, *args, **kwargs)))
        return future

    def do(self, count: int = 1) -> None:
        """Run the next queued calls."""
        for _ in range(min(count, len(self._held))):
            future, work = self._held.popleft()
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 it is raised where the result is read
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
