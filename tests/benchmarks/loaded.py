"""A real worker, and cameras that send frames to it at a given rate."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import CAMERAS, USUAL, record
from tests.benchmarks.models import TimedModel
from tests.benchmarks.processes import Place, Worker, worker
from tests.benchmarks.profiles import Settings
from tests.support.workers import wait_until
from worker.adapters.kafka import KafkaSink
from worker.domain.records import OutboundRecord


@dataclass(slots=True)
class LoadedWorker:
    """A worker, and a connection for sending frames to it.

    All loads use one connection, as cameras do: connecting takes half a second, and then all frames captured meanwhile
    would arrive at the same time.
    """

    place: Place
    worker: Worker
    sink: KafkaSink
    sent: int = 0

    def send(self, frames_per_second: float, seconds: float) -> None:
        """Send frames at a constant rate, and return when every frame has its outcome."""
        for frame in _paced(self.place.frames, frames_per_second, seconds):
            self.sink.send(frame)
            self.sent += 1
        self.sink.flush()
        wait_until(lambda: self.worker.frames() >= self.sent, f"{self.sent} frames have an outcome")


@contextmanager
def worker_with_load(
    bench: Bench, model: TimedModel, profile: Settings, frames_per_second: float
) -> Iterator[LoadedWorker]:
    """Start a worker on its own topics, and send frames at this rate until it is warmed up."""
    with bench.place() as place, closing(KafkaSink(bench.servers, {"linger.ms": 0})) as sink:
        loaded = LoadedWorker(place, worker(profile)(place, model), sink)
        try:
            loaded.worker.wait_until_ready()
            loaded.send(frames_per_second, bench.effort.warm)
            yield loaded
        finally:
            loaded.worker.stop()


def _paced(topic: str, frames_per_second: float, seconds: float) -> Iterator[OutboundRecord]:
    began = time.time()
    for number in range(max(CAMERAS, round(frames_per_second * seconds))):
        time.sleep(max(0.0, began + number / frames_per_second - time.time()))
        yield record(topic, number, USUAL, time.time())
