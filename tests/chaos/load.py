"""Frames at a steady rate, whatever happens to brokers and workers meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

from tests.support.cameras import Cameras
from tests.support.workers import Stage
from worker.adapters.kafka import KafkaSink

FRAMES_A_SECOND: Final = 10.0
"""Of all cameras together: two cores follow it, with a broker, while another worker starts."""


class Load:
    """Sends from a thread of its own, from the beginning until `stop` or `close`.

    Args:
        rate: frames a second.
    """

    def __init__(self, on: Stage, rate: float = FRAMES_A_SECOND) -> None:
        self._cameras = Cameras(on)
        self._interval = 1 / rate
        self._sink = KafkaSink(on.servers, {})
        self._enough = Event()
        self._pool = ThreadPoolExecutor(1)
        self._sending = self._pool.submit(self._send)

    def stop(self) -> int:
        """Return how many frames were sent, once all of them are confirmed.

        Raises:
            DeliveryFailed: a frame was not written, so nothing can be said of it.
        """
        self._enough.set()
        sent = self._sending.result()
        self._sink.flush()
        return sent

    def check(self) -> None:
        """Raise what has ended the load, if anything has."""
        if self._sending.done():
            self._sending.result()

    def close(self) -> None:
        """Let go of it, whatever is not confirmed yet."""
        self._enough.set()
        self._pool.shutdown()
        self._sink.close()

    def _send(self) -> int:
        sent, began = 0, time.monotonic()
        while not self._enough.wait(max(0.0, began + sent * self._interval - time.monotonic())):
            self._sink.send(self._cameras._next())
            sent += 1
        return sent
