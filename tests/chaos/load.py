"""Send frames at a constant rate, independently of what happens to brokers and workers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

from tests.support.cameras import Cameras
from tests.support.workers import Stage
from worker.adapters.kafka import KafkaSink
from worker.domain.records import OutboundRecord

FRAMES_A_SECOND: Final = 10.0
"""Of all cameras together: a worker and a broker on two cores keep up with it while another worker starts."""


class Load:
    """Sends frames from its own thread until `stop` or `close`.

    Args:
        rate: frames per second.
        frames: what is sent, without end; unset, the frames of five cameras with real pictures.

    Attributes:
        rate: frames per second; it may be changed while they are sent.
    """

    def __init__(
        self, on: Stage, rate: float = FRAMES_A_SECOND, frames: Iterator[OutboundRecord] | None = None
    ) -> None:
        self._frames = Cameras(on).frames() if frames is None else frames
        self.rate = rate
        self._sink = KafkaSink(on.servers, {})
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(1)
        self._sending = self._pool.submit(self._send)

    def stop(self) -> int:
        """Stop sending, and return the number of frames when all are confirmed.

        Raises:
            DeliveryFailed: a frame was not written, so the run cannot be judged.
        """
        self._stopped.set()
        sent = self._sending.result()
        self._sink.flush()
        return sent

    def check(self) -> None:
        """Raise the error that has ended the load, if there is one."""
        if self._sending.done():
            self._sending.result()

    def close(self) -> None:
        """Stop sending, without waiting for confirmations."""
        self._stopped.set()
        self._pool.shutdown()
        self._sink.close()

    def _send(self) -> int:
        sent, due = 0, time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            self._sink.send(next(self._frames))
            sent += 1
            due += 1 / self.rate
        return sent
