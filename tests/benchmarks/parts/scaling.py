"""What a second worker adds when each has one core."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import USUAL
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import TimedModel, heavy, light
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.processes import Place, Start, StartBare, Worker, pinned_to, worker
from tests.benchmarks.profiles import Settings, on_one_core
from worker.local.broker import LocalKafka

ONE: Final = "one worker on one core"
TWO: Final = "two workers on a core each"
BARE_ONE: Final = "one bare loop on one core"
BARE_TWO: Final = "two bare loops on a core each"


def scaling(bench: Bench) -> Outcome:
    """Two workers of a group on a core each against one of them on one; the broker is on the first core in both.

    Left to itself, the broker would have a core for nothing while one worker runs, and none while two do. Beside them,
    what the machine gives: loops that share nothing with each other.
    """
    models = {"two_workers_over_one": light()} | ({} if bench.quick else {"two_workers_over_one_heavy": heavy()})
    for model in models.values():
        bench.fill_for(model, USUAL)
    loop = bench.loop(USUAL, cores=1)
    first, second = cores = sorted(os.sched_getaffinity(0))[-2:]
    ratios: dict[str, Spread] = {}
    rows: list[list[str]] = []
    bars: dict[str, float] = {}
    with ExitStack() as at_the_end:
        with pinned_to(first):
            kafka = at_the_end.enter_context(LocalKafka())
        apart = bench.again(kafka.bootstrap_servers, USUAL)
        workers = [_pinned(core, on_one_core(bench.profile)) for core in cores]
        for name, model in models.items():
            runs = {
                ONE: partial(apart.measure, model, USUAL, workers[0]),
                TWO: partial(apart.measure, model, USUAL, *workers),
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
        "Workers of one group, each kept to one core; the broker is kept to the core of the first in both cases. "
        "The bare loops have neither Kafka nor each other to wait for: what they gain is what the machine gives.",
        [Table(("who", "frames/s", "rounds"), rows)],
        ratios,
        [Bars("scaling", "Scaling", "frames/s", bars)],
    )


def _bare(bench: Bench, model: TimedModel, loop: StartBare, cores: Sequence[int]) -> float:
    """Return the frames a second of bare loops, each a process of its own and kept to a core."""

    def run(core: int) -> float:
        with pinned_to(core):
            return bench.measure_bare(model, loop)

    with ThreadPoolExecutor(len(cores)) as beside:
        return sum(beside.map(run, cores))


def _pinned(core: int, profile: Settings) -> Start:
    def start(place: Place, model: TimedModel) -> Worker:
        with pinned_to(core):
            return worker(profile)(place, model)

    return start


def _tell(bench: Bench, model: TimedModel, number: int, name: str, reached: float) -> None:
    bench.tell(f"scaling, {model.name}, round {number}, {name}: {reached:.1f} frames/s")
