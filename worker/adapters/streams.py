"""One batch, several engines: its parts run side by side and come back in order."""

import weakref
from collections.abc import Sequence
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from worker.domain.ranking import Answer, Engine

_Work = tuple[NDArray[np.uint8], Future[Answer]]


class Streams:
    """Cuts a batch into parts of much the same size; implements `domain.ranking.Engine`.

    Args:
        engines: each gets a thread of its own, a single one runs in the caller's.
        largest: pictures in a part. CPUs are fastest with parts that fit into their caches, and an engine that prepares
            itself for every size it has not seen then sees few; None where only the whole batch is fast.
    """

    def __init__(self, engines: Sequence[Engine], *, largest: int | None = None) -> None:
        self._engines = engines
        self._largest = largest
        self._waiting = SimpleQueue[_Work | None]()
        if len(engines) > 1:
            for engine in engines:
                Thread(target=_serve, args=(engine, self._waiting), name="stream", daemon=True).start()
            weakref.finalize(self, _end, self._waiting, len(engines))

    def __call__(self, pixels: NDArray[np.uint8]) -> Answer:
        """Run one batch."""
        count = len(self._engines)
        rounds = 1 if self._largest is None else -(-len(pixels) // (count * self._largest))
        parts = np.array_split(pixels, min(len(pixels), rounds * count))
        if len(parts) == 1 or count == 1:
            answers = [self._engines[0](part) for part in parts]
        else:
            futures = [Future[Answer]() for _ in parts]
            for work in zip(parts, futures, strict=True):
                self._waiting.put(work)
            wait(futures)  # when one fails, the others must still be done with the pixels before the caller goes on
            answers = [future.result() for future in futures]
        return Answer(*(np.concatenate(each) for each in zip(*answers, strict=True)))


def _serve(engine: Engine, waiting: "SimpleQueue[_Work | None]") -> None:
    while (work := waiting.get()) is not None:
        part, future = work
        try:
            future.set_result(engine(part))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            future.set_exception(error)
        # Else the last part would be kept until the next one comes.
        del work, part, future


def _end(waiting: "SimpleQueue[_Work | None]", threads: int) -> None:
    for _ in range(threads):
        waiting.put(None)
