"""How long a frame takes from its capture to its prediction, at shares of what the worker can do: as set, and told."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.cores import Shares, shares, watched
from tests.benchmarks.frames import CAMERAS, USUAL, record
from tests.benchmarks.measure import Spread, percentiles, rate
from tests.benchmarks.models import light
from tests.benchmarks.outcome import Lines, Outcome, Table
from tests.benchmarks.processes import Place, Worker, worker
from tests.benchmarks.profiles import Settings
from tests.support.workers import wait_until
from worker import wire
from worker.adapters.kafka import KafkaSink
from worker.domain.records import OutboundRecord
from worker.settings import WindowGroup

LOADS: Final = (0.2, 0.5, 0.8)
TARGETS_MS: Final = (100, 200, 500)
QUICK_LOADS: Final = (0.2, 0.8)
QUICK_TARGETS_MS: Final = (200,)
SHOWN: Final = (50.0, 95.0, 99.0)
CORES: Final = ("idle", "stolen", "stolen at worst")
SLACK_MS: Final = 15.0
"""What poll, decode, publish and the broker may take together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of one load.

    Attributes:
        begin: seconds since the epoch, as all times here.
        call_ms: mean duration of a call of the model.
        linger_ms: in force at the end.
        cores: whose the time was.
    """

    load: float
    begin: float
    end: float
    call_ms: float
    linger_ms: float
    cores: Shares


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds of the frames of one stretch, at the percentiles shown: to the broker, and to the worker's word."""

    stretch: Stretch
    stored: Sequence[float]
    published: Sequence[float]


def latency(bench: Bench) -> Sequence[Outcome]:
    """Send at steady rates, and read what the broker and the worker say of each prediction."""
    capacity = _fed_capacity(bench)
    return [_as_set(bench, capacity), _as_told(bench, capacity)]


def _fed_capacity(bench: Bench) -> float:
    """Return the frames a second that are predicted while as many are sent as a backlog's worker can do, and stored.

    Whoever sends, and the broker that takes in frame by frame, have their part of the same cores. What a backlog is
    worked off with is more than can be done while frames come.
    """
    with _fed_worker(bench, bench.profile, 0.2 * bench.capacity) as fed:
        began = time.time() + bench.effort.warm
        ended = began + 2 * bench.effort.seconds
        fed.send(bench.capacity, ended - began + bench.effort.warm)
        times = [each.timestamp / 1000 for each in bench.read(fed.place.results)]
    found = rate(times, began, ended)
    bench.tell(f"capacity while frames come: {found:.1f} frames/s, of a backlog {bench.capacity:.1f}")
    return found


def _as_set(bench: Bench, capacity: float) -> Outcome:
    found = _measure(bench, bench.profile, capacity, LOADS)
    linger_ms = WindowGroup(**bench.profile.get("window", {})).linger_ms
    rows, lines = [], []
    for load in LOADS:
        of_load = [each for each in found if each.stretch.load == load]
        stored = [median(each.stored[number] for each in of_load) for number in range(len(SHOWN))]
        published = [median(each.published[number] for each in of_load) for number in range(len(SHOWN))]
        call = median(each.stretch.call_ms for each in of_load)
        lines.append(stored)
        figures = [*stored, *published, call]
        shown = (f"{figure:.0f}" for figure in figures)
        rows.append([f"{load:.0%}", f"{load * capacity:.0f}", *shown, *_cores_cells(of_load)])
    over = [
        each.stored[SHOWN.index(99)] / (linger_ms + 2 * each.stretch.call_ms + SLACK_MS)
        for each in found
        if each.stretch.load == 0.5
    ]
    names = [f"p{percentile:g}" for percentile in SHOWN]
    columns = ("load", "frames/s", *(f"{name} stored" for name in names), *(f"{name} said" for name in names), "call")
    columns += CORES
    by_name = {name: [line[number] for line in lines] for number, name in enumerate(names)}
    return Outcome(
        "Latency",
        "From capture to the time at which the broker stored the prediction, and to the one that the worker wrote "
        "into it, in milliseconds; beside it the mean call of the model. "
        f"A frame waits up to {linger_ms} ms for company. Of the {capacity:.0f} frames/s that the worker keeps up with "
        "while they are sent, which costs sender and broker their part of the same cores. Of the cores' time, beside "
        "it: what was nobody's, what the machine below gave to others, and that in the worst quarter of a second.",
        [Table(columns, rows)],
        {"p99_over_bound_50": Spread.of(over)},
        [Lines("latency", "Latency by load", "ms", "% of capacity", [load * 100 for load in LOADS], by_name)],
    )


def _as_told(bench: Bench, capacity: float) -> Outcome:
    targets, loads = (QUICK_TARGETS_MS, QUICK_LOADS) if bench.quick else (TARGETS_MS, LOADS)
    rows, ratios = [], dict[str, Spread]()
    for target in targets:
        window = {**bench.profile.get("window", {}), "latency_target_ms": target}
        found = _measure(bench, {**bench.profile, "window": window}, capacity, loads)
        spreads = []
        for load in loads:
            of_load = [each for each in found if each.stretch.load == load]
            stored = [median(each.stored[number] for each in of_load) for number in range(len(SHOWN))]
            linger = median(each.stretch.linger_ms for each in of_load)
            spreads.append(Spread.of([each.stored[SHOWN.index(99)] / target for each in of_load]))
            figures = [load * capacity, *stored, linger]
            shown = (f"{each:.0f}" for each in figures)
            rows.append([f"{target} ms", f"{load:.0%}", *shown, *_cores_cells(of_load)])
        ratios[f"p99_over_target_{target}"] = max(spreads, key=lambda spread: spread.median)
    names = [f"p{percentile:g} stored" for percentile in SHOWN]
    return Outcome(
        "Latency under a target",
        "The same with `window.latency_target_ms` set, in milliseconds from capture to the time at which the broker "
        "stored the prediction; beside it the linger that the worker chose. Ratios are those of the worst load.",
        [Table(("target", "load", "frames/s", *names, "linger", *CORES), rows)],
        ratios,
    )


def _cores_cells(found: Sequence[Delays]) -> list[str]:
    idle, stolen, at_worst = zip(*(each.stretch.cores for each in found), strict=True)
    return [f"{median(idle):.0%}", f"{median(stolen):.1%}", f"{max(at_worst):.0%}"]


def _measure(bench: Bench, profile: Settings, capacity: float, loads: Sequence[float]) -> list[Delays]:
    stretches = list[Stretch]()
    with _fed_worker(bench, profile, 0.2 * capacity) as fed:
        for _ in range(bench.effort.few):
            for load in loads:
                before, began = fed.worker.stage_seconds()["classify"], time.time()
                with watched() as moments:
                    fed.send(load * capacity, bench.effort.warm + bench.effort.seconds)
                ended, after = time.time(), fed.worker.stage_seconds()["classify"]
                call_ms = (after[0] - before[0]) / (after[1] - before[1]) * 1000
                linger_ms = fed.worker.metrics("batch_linger_seconds")[()] * 1000
                stretches.append(Stretch(load, began + bench.effort.warm, ended, call_ms, linger_ms, shares(moments)))
        results = [
            (each.timestamp, wire.decode_prediction(each.value or b"")) for each in bench.read(fed.place.results)
        ]
    found = []
    for stretch in stretches:
        within = [
            (stored - message.captured_at_ms, message.published_at_ms - message.captured_at_ms)
            for stored, message in results
            if stretch.begin <= message.captured_at_ms / 1000 <= stretch.end
        ]
        stored, published = zip(*within, strict=True)
        found.append(Delays(stretch, percentiles(stored, SHOWN), percentiles(published, SHOWN)))
        bench.tell(f"latency at {stretch.load:.0%}: {', '.join(f'{each:.0f}' for each in found[-1].stored)} ms")
    return found


@dataclass(slots=True)
class _Fed:
    """A worker, and a connection to send it frames by: one for all, as cameras have it.

    Connecting takes half a second, and what was captured meanwhile comes at once.
    """

    place: Place
    worker: Worker
    sink: KafkaSink
    sent: int = 0

    def send(self, a_second: float, seconds: float) -> None:
        """Send at a steady rate, and return when every frame has its prediction."""
        for frame in _in_time(self.place.frames, a_second, seconds):
            self.sink.send(frame)
            self.sent += 1
        self.sink.flush()
        wait_until(lambda: self.worker.frames() >= self.sent, f"{self.sent} frames are predicted")


@contextmanager
def _fed_worker(bench: Bench, profile: Settings, a_second: float) -> Iterator[_Fed]:
    """Start a worker on topics of its own, and send so many frames a second until it is warm."""
    with bench.place() as place, closing(KafkaSink(bench.servers, {"linger.ms": 0})) as sink:
        fed = _Fed(place, worker(profile)(place, light()), sink)
        try:
            fed.worker.wait_until_ready()
            fed.send(a_second, bench.effort.warm)
            yield fed
        finally:
            fed.worker.stop()


def _in_time(topic: str, a_second: float, seconds: float) -> Iterator[OutboundRecord]:
    began = time.time()
    for number in range(max(CAMERAS, round(a_second * seconds))):
        time.sleep(max(0.0, began + number / a_second - time.time()))
        yield record(topic, number, USUAL, time.time())
