"""An executor that runs the model in the main thread, while the loop has a thread of its own."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Lock
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Call(NamedTuple):
    future: Future[Any]
    run: Callable[[], Any]

    def __call__(self) -> None:
        try:
            if self.future.set_running_or_notify_cancel():
                self.future.set_result(self.run())
        except BaseException as error:  # noqa: BLE001 whoever waits for it has to know, of an interruption too
            if not self.future.done():
                self.future.set_exception(error)


class MainThread(Executor):
    """Runs what is submitted, in order, in the thread that serves it and in as many more as it takes.

    Of all threads the main one alone has a heap without a limit in glibc: in another, what is larger than 64 MiB is
    mapped anew each time, and the kernel clears every page of it. A layer of MobileNetV2 is larger in calls of 14
    frames or more; calls of 16 took 1.3 times as long there. And since nothing else is in this heap then, memory stays
    flat while calls change their size: what the loop keeps would lie between what two layers have left.

    Args:
        threads: that run at once, the serving one among them.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._calls = SimpleQueue[_Call | None]()
        self._open = set[Future[Any]]()
        self._lock = Lock()
        self._over = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Put a call in line.

        Raises:
            RuntimeError: nobody serves any more.
        """
        future = Future[T]()
        with self._lock:
            if self._over:
                raise RuntimeError("the threads of the model have ended")
            self._open.add(future)
            self._calls.put(_Call(future, partial(fn, *args, **kwargs)))
        future.add_done_callback(self._open.discard)
        return future

    def serve(self, loop: Callable[[], T]) -> T:
        """Run a loop beside this thread, and in this one what it submits; return what the loop does.

        What is in line when the loop ends, or when this thread is interrupted, is cancelled.

        Raises:
            Exception: whatever ended the loop.
        """
        with ThreadPoolExecutor(1, "loop") as beside, ThreadPoolExecutor(self._threads, "inference") as others:
            try:
                running = beside.submit(loop)
                running.add_done_callback(lambda _: self.shutdown(cancel_futures=True))
                for _ in range(self._threads - 1):
                    others.submit(self._work)
                self._work()
            finally:
                self.shutdown(cancel_futures=True)
        return running.result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Take nothing more; `serve` waits for what is left."""
        with self._lock:
            self._over = True
        if cancel_futures:
            for future in list(self._open):  # not what is in line: an interrupted thread may have taken one from there
                future.cancel()
        for _ in range(self._threads):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
