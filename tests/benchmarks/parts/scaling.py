"""What a second worker adds when each has one core."""

import os
from functools import partial
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import USUAL
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import TimedModel, heavy, light
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.processes import Place, Start, Worker, pinned_to, worker
from tests.benchmarks.profiles import Settings, on_one_core

ONE: Final = "one worker on one core"
TWO: Final = "two workers on a core each"


def scaling(bench: Bench) -> Outcome:
    """Two workers of a group against one of them alone, each kept to a core of its own."""
    cores = sorted(os.sched_getaffinity(0))[-2:]
    profile = on_one_core(bench.profile)
    ratios: dict[str, Spread] = {}
    rows: list[list[str]] = []
    bars: dict[str, float] = {}
    for name, model in {"two_workers_over_one": light, "two_workers_over_one_heavy": heavy}.items():
        if model is heavy and bench.quick:
            continue
        bench.best_bare(model(), USUAL)  # which fills the topic for as long as it takes
        first, second = (_pinned(core, profile) for core in cores)
        runs = {
            ONE: partial(bench.measure, model(), USUAL, first),
            TWO: partial(bench.measure, model(), USUAL, first, second),
        }
        found = alternate(runs, bench.effort.few, partial(_tell, bench, model()))
        ratios[name] = ratio(found[TWO], found[ONE])
        spreads = {each: Spread.of(rates) for each, rates in found.items()}
        rows += [
            [f"{model().name} model, {each}", f"{of.median:.1f}", f"{of.low:.1f} to {of.high:.1f}"]
            for each, of in spreads.items()
        ]
        bars |= {f"{model().name}, {each}": of.median for each, of in spreads.items()}
    return Outcome(
        "Scaling",
        "Workers of one group, each pinned to one core. The broker takes its share of the same cores.",
        [Table(("workers", "frames/s", "rounds"), rows)],
        ratios,
        [Bars("scaling", "Scaling", "frames/s", bars)],
    )


def _pinned(core: int, profile: Settings) -> Start:
    def start(place: Place, model: TimedModel) -> Worker:
        with pinned_to(core):
            return worker(profile)(place, model)

    return start


def _tell(bench: Bench, model: TimedModel, number: int, name: str, reached: float) -> None:
    bench.tell(f"scaling, {model.name}, round {number}, {name}: {reached:.1f} frames/s")
