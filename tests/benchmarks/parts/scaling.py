"""Measure what a second worker adds if each has one core."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import USUAL
from tests.benchmarks.limit import BareLoop
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import TimedModel, heavy, light
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.processes import Place, Start, StartBare, Worker, pinned_to, worker
from tests.benchmarks.profiles import Settings, on_one_core
from worker.local.broker import LocalKafka

ONE: Final = "one worker on one core"
TWO: Final = "two workers on one core each"
BARE_ONE: Final = "one bare loop on one core"
BARE_TWO: Final = "two bare loops on one core each"


def scaling(bench: Bench) -> Outcome:
    """Compare two workers of a group on one core each with one worker on one core.

    The broker is pinned to the first core in both cases. Otherwise it would have a free core while one worker runs, and
    none while two run. For comparison, bare loops, which share nothing, show the most that the machine allows.
    """
    models = {"two_workers_over_one": light()} | ({} if bench.quick else {"two_workers_over_one_heavy": heavy()})
    for model in models.values():
        bench.fill_for(model, USUAL)
    loop = bench.loop(USUAL, BareLoop.on(bench.engine, cores=1), cores=1)
    first, second = cores = sorted(os.sched_getaffinity(0))[-2:]
    ratios: dict[str, Spread] = {}
    rows: list[list[str]] = []
    bars: dict[str, float] = {}
    with ExitStack() as cleanup:
        with pinned_to(first):
            kafka = cleanup.enter_context(LocalKafka())
        pinned_bench = bench.on_another_kafka(kafka.bootstrap_servers, USUAL)
        workers = [_pinned(core, on_one_core(bench.profile)) for core in cores]
        for name, model in models.items():
            runs = {
                ONE: partial(pinned_bench.measure, model, USUAL, workers[0]),
                TWO: partial(pinned_bench.measure, model, USUAL, *workers),
                BARE_ONE: partial(_bare, bench, model, loop, [first]),
                BARE_TWO: partial(_bare, bench, model, loop, [first, second]),
            }
            found = alternate(runs, bench.effort.few, partial(_tell, bench, model))
            ratios[name] = ratio(found[TWO], found[ONE])
            ratios[name.replace("workers", "loops")] = ratio(found[BARE_TWO], found[BARE_ONE])
            for each, spread in ((each, Spread.of(rates)) for each, rates in found.items()):
                rows.append([f"{model.name} model, {each}", *spread.cells()])
                bars[f"{model.name}, {each}"] = spread.median
    return Outcome(
        "Scaling",
        "Workers of one group, each pinned to one core; the broker is pinned to the first worker's core in both cases. "
        "The bare loops wait neither for Kafka nor for each other: their gain is the most that the machine allows.",
        [Table(("contestant", "frames/s", "rounds"), rows)],
        ratios,
        [Bars("scaling", "Scaling", "frames/s", bars)],
    )


def _bare(bench: Bench, model: TimedModel, loop: StartBare, cores: Sequence[int]) -> float:
    """Return the total frames per second of bare loops, each a process that is pinned to one core."""

    def run(core: int) -> float:
        with pinned_to(core):
            return bench.measure_bare(model, loop)

    with ThreadPoolExecutor(len(cores)) as threads:
        return sum(threads.map(run, cores))


def _pinned(core: int, profile: Settings) -> Start:
    def start(place: Place, model: TimedModel) -> Worker:
        with pinned_to(core):
            return worker(profile)(place, model)

    return start


def _tell(bench: Bench, model: TimedModel, number: int, name: str, reached: float) -> None:
    bench.tell(f"scaling, {model.name}, round {number}, {name}: {reached:.1f} frames/s")
