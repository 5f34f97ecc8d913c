"""Measure latency from capture to prediction at shares of the worker's capacity, without and with a target."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.cores import Shares, shares, watched
from tests.benchmarks.loaded import worker_with_load
from tests.benchmarks.measure import Spread, percentiles, rate
from tests.benchmarks.models import light
from tests.benchmarks.outcome import Lines, Outcome, Table
from tests.benchmarks.profiles import Settings
from worker import wire
from worker.settings import WindowGroup

LOADS: Final = (0.2, 0.5, 0.8)
TARGETS_MS: Final = (100, 200, 500)
QUICK_LOADS: Final = (0.2, 0.8)
QUICK_TARGETS_MS: Final = (200,)
SHOWN: Final = (50.0, 95.0, 99.0)
CORES: Final = ("idle", "stolen", "stolen at worst")
SLACK_MS: Final = 15.0
"""Milliseconds that poll, decode, publish and the broker may take together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A period with a constant load.

    Attributes:
        begin: seconds since the epoch, as all times here.
        call_ms: mean duration of a model call.
        linger_ms: the linger in force at the end.
        cores: idle and stolen shares of the CPU time.
    """

    load: float
    begin: float
    end: float
    call_ms: float
    linger_ms: float
    cores: Shares


@dataclass(frozen=True, slots=True)
class Delays:
    """Latency percentiles of one stretch in milliseconds: by the broker's timestamp, and by the worker's."""

    stretch: Stretch
    stored: Sequence[float]
    published: Sequence[float]


def latency(bench: Bench) -> Sequence[Outcome]:
    """Send frames at constant rates, and read the broker's and the worker's timestamp of each prediction."""
    capacity = _capacity_while_sending(bench)
    return [_without_target(bench, capacity), _with_targets(bench, capacity)]


def _capacity_while_sending(bench: Bench) -> float:
    """Return the frames per second that are predicted while frames are sent at the rate measured with a backlog.

    The sender and the broker, which receives the frames one by one, use the same cores. So the rate is lower while
    frames are sent than with a backlog.
    """
    with worker_with_load(bench, light(), bench.profile, 0.2 * bench.capacity) as loaded:
        began = time.time() + bench.effort.warm
        ended = began + 2 * bench.effort.seconds
        loaded.send(bench.capacity, ended - began + bench.effort.warm)
        times = [each.timestamp / 1000 for each in bench.read(loaded.place.results)]
    found = rate(times, began, ended)
    bench.tell(f"capacity while frames are sent: {found:.1f} frames/s; with a backlog: {bench.capacity:.1f}")
    return found


def _without_target(bench: Bench, capacity: float) -> Outcome:
    found = _measure(bench, bench.profile, capacity, LOADS)
    linger_ms = WindowGroup(**bench.profile.get("window", {})).linger_ms
    rows, lines = [], []
    for load in LOADS:
        with_load = [each for each in found if each.stretch.load == load]
        stored = [median(each.stored[number] for each in with_load) for number in range(len(SHOWN))]
        published = [median(each.published[number] for each in with_load) for number in range(len(SHOWN))]
        call = median(each.stretch.call_ms for each in with_load)
        lines.append(stored)
        figures = [*stored, *published, call]
        shown = (f"{figure:.0f}" for figure in figures)
        rows.append([f"{load:.0%}", f"{load * capacity:.0f}", *shown, *_cores_cells(with_load)])
    ratios = [
        each.stored[SHOWN.index(99)] / (linger_ms + 2 * each.stretch.call_ms + SLACK_MS)
        for each in found
        if each.stretch.load == 0.5
    ]
    names = [f"p{percentile:g}" for percentile in SHOWN]
    columns = (
        "load",
        "frames/s",
        *(f"{name} stored" for name in names),
        *(f"{name} published" for name in names),
        "call",
    )
    columns += CORES
    by_name = {name: [line[number] for line in lines] for number, name in enumerate(names)}
    return Outcome(
        "Latency",
        "Milliseconds from capture to the time at which the broker stored the prediction, and to the time that the "
        "worker wrote into it; also the mean duration of a model call. "
        f"A batch waits up to {linger_ms} ms for more frames. Load is a share of the {capacity:.0f} frames/s that the "
        "worker keeps up with while frames are sent; sender and broker use the same cores. The last columns are shares "
        "of the CPU time: idle, stolen by the hypervisor, and stolen in the worst quarter of a second.",
        [Table(columns, rows)],
        {"p99_over_bound_50": Spread.of(ratios)},
        [Lines("latency", "Latency by load", "ms", "% of capacity", [load * 100 for load in LOADS], by_name)],
    )


def _with_targets(bench: Bench, capacity: float) -> Outcome:
    targets, loads = (QUICK_TARGETS_MS, QUICK_LOADS) if bench.quick else (TARGETS_MS, LOADS)
    rows, ratios = [], dict[str, Spread]()
    for target in targets:
        window = {**bench.profile.get("window", {}), "latency_target_ms": target}
        found = _measure(bench, {**bench.profile, "window": window}, capacity, loads)
        spreads = []
        for load in loads:
            with_load = [each for each in found if each.stretch.load == load]
            stored = [median(each.stored[number] for each in with_load) for number in range(len(SHOWN))]
            linger = median(each.stretch.linger_ms for each in with_load)
            spreads.append(Spread.of([each.stored[SHOWN.index(99)] / target for each in with_load]))
            figures = [load * capacity, *stored, linger]
            shown = (f"{each:.0f}" for each in figures)
            rows.append([f"{target} ms", f"{load:.0%}", *shown, *_cores_cells(with_load)])
        ratios[f"p99_over_target_{target}"] = max(spreads, key=lambda spread: spread.median)
    names = [f"p{percentile:g} stored" for percentile in SHOWN]
    return Outcome(
        "Latency under a target",
        "The same with `window.latency_target_ms`: milliseconds from capture to the time at which the broker stored "
        "the prediction, and the linger that the worker chose. Ratios are those of the worst load.",
        [Table(("target", "load", "frames/s", *names, "linger", *CORES), rows)],
        ratios,
    )


def _cores_cells(found: Sequence[Delays]) -> list[str]:
    idle, stolen, at_worst = zip(*(each.stretch.cores for each in found), strict=True)
    return [f"{median(idle):.0%}", f"{median(stolen):.1%}", f"{max(at_worst):.0%}"]


def _measure(bench: Bench, profile: Settings, capacity: float, loads: Sequence[float]) -> list[Delays]:
    stretches = list[Stretch]()
    with worker_with_load(bench, light(), profile, 0.2 * capacity) as loaded:
        for _ in range(bench.effort.few):
            for load in loads:
                before, began = loaded.worker.stage_seconds()["classify"], time.time()
                with watched() as moments:
                    loaded.send(load * capacity, bench.effort.warm + bench.effort.seconds)
                ended, after = time.time(), loaded.worker.stage_seconds()["classify"]
                call_ms = (after[0] - before[0]) / (after[1] - before[1]) * 1000
                linger_ms = loaded.worker.metrics("batch_linger_seconds")[()] * 1000
                stretches.append(Stretch(load, began + bench.effort.warm, ended, call_ms, linger_ms, shares(moments)))
        results = [
            (each.timestamp, wire.decode_prediction(each.value or b"")) for each in bench.read(loaded.place.results)
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
