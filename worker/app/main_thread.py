"""An executor that runs the model in the main thread, while the loop runs in a thread of its own."""

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Barrier, Lock
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from worker.app.thread_names import name_this_thread

SWITCH_AFTER: Final = 0.0005
"""Seconds after which a thread that runs Python lets another one that waits run it.

The loop reads a poll, and writes a publication, in several milliseconds of Python. Each of the model's threads needs a
few microseconds of Python between the steps of a frame. With Python's own 5 ms they would wait for the loop instead,
and their cores would be idle."""

P = ParamSpec("P")
T = TypeVar("T")


class _Call(NamedTuple):
    future: Future[Any]
    run: Callable[[], Any]

    def __call__(self) -> None:
        try:
            if self.future.set_running_or_notify_cancel():
                self.future.set_result(self.run())
        except BaseException as error:  # noqa: BLE001 the caller must learn of every error, even an interruption
            if not self.future.done():
                self.future.set_exception(error)


class MainThread(Executor):
    """Runs submitted calls in order, in the thread that calls `serve` and in `threads - 1` more.

    In glibc only the main thread has a heap without a size limit. In other threads, each allocation of more than 64 MiB
    is mapped anew, and the kernel clears all its pages. A layer of MobileNetV2 exceeds 64 MiB in calls of 14 frames or
    more. A model of one stream makes such calls on two cores: they took 1.3 times as long in another thread. With a
    stream for each core, calls have 8 frames, and the thread makes no difference: `python -m tests.benchmarks.heaps`
    saw the same speed in both, and memory that grew by 0.1 MiB in twenty minutes.

    Args:
        threads: number of threads that run calls, including the serving thread.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._calls = SimpleQueue[_Call | None]()
        self._pending = set[Future[Any]]()
        self._lock = Lock()
        self._closed = False
        self._others = ThreadPoolExecutor(
            max(1, threads - 1), "inference", initializer=name_this_thread, initargs=("inference",)
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Add a call to the queue.

        Raises:
            RuntimeError: the executor was shut down.
        """
        future = Future[T]()
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads of the model have ended")
            self._pending.add(future)
            self._calls.put(_Call(future, partial(fn, *args, **kwargs)))
        future.add_done_callback(self._pending.discard)
        return future

    def in_each(self, call: Callable[[], object]) -> None:
        """Run a call once in each of the threads, at once, before `serve`; this thread is the first of them.

        Raises:
            Exception: what the call raised in this thread, or else in another one.
        """
        together = Barrier(self._threads)

        def meet() -> None:
            together.wait()  # so that no thread takes two
            call()

        try:
            others = [self._others.submit(meet) for _ in range(self._threads - 1)]
            meet()
        except BaseException:
            together.abort()  # an interrupted program ends
            raise
        for each in others:
            each.result()

    def serve(self, loop: Callable[[], T]) -> T:
        """Run a loop in another thread and the calls that it submits in this thread; return the loop's result.

        When the loop ends, or when this thread is interrupted, queued calls are cancelled.

        Raises:
            Exception: the exception that ended the loop.
        """
        loop_thread = ThreadPoolExecutor(1, "loop", initializer=name_this_thread, initargs=("loop",))
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_AFTER)
        with loop_thread, self._others as threads:
            try:
                running = loop_thread.submit(loop)
                running.add_done_callback(lambda _: self.shutdown(cancel_futures=True))
                for _ in range(self._threads - 1):
                    threads.submit(self._run_calls)
                self._run_calls()
            finally:
                self.shutdown(cancel_futures=True)
                sys.setswitchinterval(before)
        return running.result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Accept no more calls; `serve` waits for the remaining ones."""
        with self._lock:
            self._closed = True
        if cancel_futures:
            # Not only the queue: an interrupted thread may have taken a call from it.
            for future in list(self._pending):
                future.cancel()
        for _ in range(self._threads):
            self._calls.put(None)

    def _run_calls(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
