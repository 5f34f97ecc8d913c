"""A whole worker in simulated time: a minute passes in seconds, and every run is the same.

Only the worker's own work advances the time. Executors run each call at once, at the simulated time at which a thread
would have run it, and provide its result when that time has come.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from tests.support.colours import ColourModel, decode_colour, picture
from tests.support.flow import TOPICS
from tests.support.frames import a_record
from worker import wire
from worker.adapters.memory import MemorySink, MemorySource
from worker.app.compose import ModelParts, Ports, Sampling, Threads, compose
from worker.domain.arrays import Arrays
from worker.domain.batches import BatchLimits
from worker.domain.checkpoints import Checkpoint
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.latency import Bounds, LatencyControl
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.ops.telemetry import Telemetry
from worker.ports import Clocks, LoadPolicy
from worker.stream.loop_settings import BACKLOG, LoopSettings

EPOCH = 1_700_000_000_000
MAX_POLL = 64
SKIPPED = "skipped"
UPSTREAM = 0.004
"""Seconds from capture until a frame can be polled."""


@dataclass(slots=True)
class Clock:
    """A clock that advances only when work spends time."""

    now: float = 0.0

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> Monotonic:
        return Monotonic(self.now)

    def wall(self) -> EventMillis:
        return EventMillis(EPOCH + round(self.now * 1000))


class Ahead(Executor):
    """A simulated pool of threads.

    Args:
        gap: seconds that a thread needs after each call, which no measurement includes.
    """

    def __init__(self, clock: Clock, threads: int, *, gap: float = 0.0) -> None:
        self._clock, self._gap = clock, gap
        self._free = [0.0] * threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        submitted, thread = self._clock.now, self._free.index(min(self._free))
        self._clock.now = max(submitted, self._free[thread])
        result = fn(*args, **kwargs)
        ended, self._clock.now = self._clock.now, submitted
        self._free[thread] = ended + self._gap
        return _Later(self._clock, ended, result)


class _Later(Future[Any]):
    def __init__(self, clock: Clock, at: float, result: Any) -> None:
        super().__init__()
        self._clock, self._at = clock, at
        self.set_result(result)

    def done(self) -> bool:
        return self._clock.now >= self._at

    def result(self, timeout: float | None = None) -> Any:
        self._clock.now = max(self._clock.now, self._at)
        return super().result(timeout)


@dataclass(frozen=True, slots=True)
class Machine:
    """The cost of work, in seconds.

    Attributes:
        gap: time between two calls that no measurement includes.
        noise: relative standard deviation of the cost of a call.
        hiccups: share of publications that take `hiccup` seconds more.
    """

    call: float = 0.003
    frame: float = 0.003
    decode: float = 0.001
    publish: float = 0.005
    result: float = 0.0002
    gap: float = 0.0
    noise: float = 0.1
    hiccups: float = 0.002
    hiccup: float = 0.015

    def capacity(self, frames: int) -> float:
        """Return the frames per second with batches of this size."""
        return frames / max(self.call + self.frame * frames + self.gap, self.publish + self.result * frames)


class TimedModel(ColourModel):
    """Spends the machine's cost for each call, and twice as much from a given time on."""

    def __init__(self, clock: Clock, machine: Machine, chance: Random, slower_from: float) -> None:
        super().__init__(top_k=1)
        self._clock, self._machine, self._chance, self._slower_from = clock, machine, chance, slower_from
        self.began: list[float] = []

    def run(self, batch: NDArray[np.uint8]) -> Arrays:
        self.began.append(self._clock.now)
        cost = self._machine.call + self._machine.frame * len(batch)
        cost *= 2 if self._clock.now >= self._slower_from else 1
        self._clock.spend(cost * max(0.5, self._chance.gauss(1, self._machine.noise)))
        return super().run(batch)


class Cameras(MemorySource):
    """Returns frames after they were captured.

    Args:
        taken: capture time of each frame, in seconds, in order; cameras take turns.
    """

    def __init__(self, clock: Clock, taken: Sequence[float], partitions: int, cameras: int) -> None:
        super().__init__(())
        self._clock, self._taken, self._partitions, self._cameras = clock, taken, partitions, cameras
        self._next = 0
        self._value = picture("red")

    def poll(self, timeout: float) -> Sequence[Record] | None:
        if self._next >= len(self._taken):
            return None
        available = self._taken[self._next] + UPSTREAM
        self._clock.now = max(self._clock.now, min(available, self._clock.now + timeout))
        first = self._next
        while self._next < min(len(self._taken), first + MAX_POLL) and self._ready(self._next):
            self._next += 1
        return self._hand_out([self._record(number) for number in range(first, self._next)])

    def _ready(self, number: int) -> bool:
        return self._taken[number] + UPSTREAM <= self._clock.now

    def _record(self, number: int) -> Record:
        partition, offset = number % self._partitions, number // self._partitions
        timestamp = EPOCH + math.floor(self._taken[number] * 1000)
        key = f"cam-{number % self._cameras}".encode()
        return a_record(offset, partition=partition, value=self._value, key=key, timestamp=timestamp)


class Broker(MemorySink):
    """Spends time on each publication, and records its time, predictions' ages, and skipped frames by reason."""

    def __init__(self, clock: Clock, machine: Machine, chance: Random) -> None:
        super().__init__()
        self._clock, self._machine, self._chance = clock, machine, chance
        self.ages: list[tuple[float, float]] = []
        self.ages_by_camera: dict[str, list[tuple[float, float]]] = {}
        self.skipped: Counter[tuple[str, str]] = Counter()
        self.publications: list[float] = []

    def publish(
        self, records: Sequence[OutboundRecord], checkpoints: Mapping[TopicPartition, Checkpoint], *, within: float
    ) -> None:
        super().publish(records, checkpoints, within=within)
        self.publications.append(self._clock.now)
        hiccup = self._machine.hiccup if self._chance.random() < self._machine.hiccups else 0.0
        self._clock.spend(self._machine.publish + self._machine.result * len(records) + hiccup)
        for record in self.published:
            if record.topic == TOPICS.predictions:
                message = wire.decode_prediction(record.value or b"")
                captured = (message.captured_at_ms - EPOCH) / 1000
                self.ages.append((captured, self._clock.now - captured))
                self.ages_by_camera.setdefault(message.frame.camera, []).append(self.ages[-1])
            if record.topic == SKIPPED:
                left_out = wire.decode_skipped(record.value or b"")
                self.skipped[left_out.frame.camera, left_out.reason] += 1
        self.published.clear()


@dataclass(slots=True)
class VirtualWorker:
    """A worker, its cameras and its machine.

    Attributes:
        taken: capture time of each frame, in seconds, in order.
        target: seconds.
        make_policy: makes what leaves frames out under too much load; `max_age` as of the loop's settings.
        slower_from: time from which on the model takes twice as long.
        limits: the batch limits that were in force, each with its start time.
        calls: start time and number of frames of each model call.
    """

    taken: Sequence[float]
    target: float | None
    machine: Machine = field(default_factory=Machine)
    max_frames: int = 32
    partitions: int = 4
    cameras: int = 1
    make_policy: Callable[[], LoadPolicy] | None = None
    max_age: float | None = None
    seed: int = 1
    slower_from: float = math.inf
    limits: list[tuple[float, BatchLimits]] = field(default_factory=list)
    calls: Sequence[tuple[float, int]] = ()
    broker: Broker = field(init=False)
    control: LatencyControl = field(init=False)

    def run(self) -> "VirtualWorker":
        """Run until the last frame is processed."""
        clock, chance = Clock(), _chance(self.seed)
        model = TimedModel(clock, self.machine, chance, self.slower_from)
        self.broker = Broker(clock, self.machine, chance)
        worker = compose(
            Ports(Cameras(clock, self.taken, self.partitions, self.cameras), self.broker, lambda *_: ()),
            ModelParts(model, partial(self._decode, clock)),
            Threads(Ahead(clock, 2), Ahead(clock, 1, gap=self.machine.gap)),
            Clocks(clock.wall, clock.monotonic),
            topics=replace(TOPICS, skipped=SKIPPED),
            settings=LoopSettings(
                window=1_000,
                lateness=200,
                bounds=Bounds(self.target, 0.1, self.max_frames, self.max_age or 300.0),
                max_failed_share=0.5,
                max_in_flight_bytes=2**26,
                commit_interval=0.1,
                publication_interval=0.0,
                backlog_interval=BACKLOG * 0.1 if self.target is None and self.max_age is None else 0.0,
                publish_within=30.0,
                hand_over_within=3.0,
                sheds_load=self.make_policy is not None,
            ),
            telemetry=Telemetry(CollectorRegistry(), max_cameras=1),
            sampling=Sampling(make_policy=self.make_policy),
        )
        self.control = worker.control
        worker.join()
        while worker.step():
            if not self.limits or self.limits[-1][1] != worker.limits:
                self.limits.append((clock.now, worker.limits))
        worker.drain()
        self.calls = list(zip(model.began, model.calls, strict=True))
        return self

    def frames_a_call(self, begin: float) -> float:
        """Return the mean number of frames per model call from a given time on."""
        return float(np.mean([frames for began, frames in self.calls if began >= begin]))

    def p99(self, begin: float, end: float = math.inf) -> float:
        """Return the seconds within which 99 % of the frames captured in this interval had their prediction."""
        ages = [age for captured, age in self.broker.ages if begin <= captured < end]
        return float(np.percentile(ages, 99))

    def _decode(self, clock: Clock, frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
        clock.spend(self.machine.decode)
        return decode_colour(frame, out)


def regular(rate: float, begin: float, end: float, *, seed: int = 1) -> list[float]:
    """Return capture times of 16 cameras with this total rate: each has its own start and nearly regular intervals."""
    chance, period, taken = _chance(seed), 16 / rate, list[float]()
    for _ in range(16):
        first = begin + chance.random() * period
        count = max(0, math.ceil((end - first) / period))
        taken += [first + period * (number + chance.uniform(0, 0.3)) for number in range(count)]
    return sorted(taken)


def irregular(rate: float, begin: float, end: float, *, seed: int = 1) -> list[float]:
    """Return independent capture times with this mean rate: a Poisson process."""
    chance, now, taken = _chance(seed), begin, list[float]()
    while (now := now + chance.expovariate(rate)) < end:
        taken.append(now)
    return taken


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 not used for security
