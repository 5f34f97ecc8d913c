"""Something that is done again and again in a thread next to the loop."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog


class Repeating:
    """Calls a function from a thread of its own, between `__enter__` and `__exit__`.

    Args:
        name: of the thread.
        act: the function. What it raises goes to the log, and it is called again all the same.
        every: seconds from the end of one call to the next; 0 for none at all.
    """

    def __init__(self, name: str, act: Callable[[], object], *, every: float) -> None:
        self._name = name
        self._act = act
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        if self._every:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._every:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self._act()
            except Exception:  # noqa: BLE001 the next call may go well
                structlog.get_logger("worker").exception("a repeated task failed", task=self._name)
