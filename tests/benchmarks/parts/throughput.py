"""Compare the frames per second of all contestants."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import SIZES, USUAL, Size, name_of
from tests.benchmarks.measure import Spread, alternate, best_of, ratio
from tests.benchmarks.models import TimedModel, heavy, light, null
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.processes import Start, bare_kafka, quix_streams, script, script_on_each_core, worker
from tests.benchmarks.profiles import UINT8, UNTUNED, Settings, what_tuning_chose

LIMIT: Final = "best bare loop, no Kafka"
TUNED: Final = "this worker, tuned"
EXACTLY_ONCE: Final = "this worker, tuned, exactly once"
UNTUNED_NAME: Final = "this worker, default settings"
IN_UINT8: Final = "this worker, uint8, else default settings"
PER_MESSAGE: Final = "loop, one message at a time"
SCRIPT: Final = "batching script, torch"
SCRIPTS: Final = "batching script, one process a core"
SCRIPT_RESIZED: Final = "batching script, torch, resized by OpenCV"
SCRIPT_ENGINE: Final = "batching script, same engine"
QUIX: Final = "Quix Streams"
BARE_KAFKA: Final = "bare loop on Kafka"
PEERS: Final = (QUIX, SCRIPT, SCRIPTS)
"""Those that prepare pictures as the worker does, without the worker's code."""
MAIN_CONTESTANTS: Final = (TUNED, UNTUNED_NAME, SCRIPTS, SCRIPT_ENGINE)
"""With the best bare loop, the contestants of the other sizes and of the heavy model."""

Starts = Mapping[str, Sequence[Start]]
"""The processes of each contestant."""

TEXT: Final = (
    "The topic has a backlog of frames. Frames per second are computed from the broker's timestamps of the results, "
    "after start and warm-up. Higher is better."
)


def light_model(bench: Bench) -> Outcome:
    """Run the main contest with the light model and usual frames, and compare with other settings of the worker."""
    model, rounds = light(), bench.effort.rounds
    tuned, *others = _contestants(bench).items()
    # What is compared runs one after the other: uint8 and the limit, which is the first, then these two.
    starts: Starts = dict(
        [(IN_UINT8, [worker(UINT8)]), tuned, (EXACTLY_ONCE, [worker(exactly_once(bench.profile))]), *others]
    )
    if not bench.quick:
        starts = {**starts, SCRIPT_RESIZED: [script("batching_script", "--resize", "opencv")]}
    found = _contest(bench, model, USUAL, starts, rounds)
    bench.capacity = median(found[TUNED])
    peers: dict[str, list[float]] = {name: found[name] for name in PEERS}
    best_peer = peers[best_of(peers)]
    ratios = {
        "of_limit_light": ratio(found[TUNED], found[LIMIT]),
        "over_per_message": ratio(found[TUNED], found[PER_MESSAGE]),
        "limit_over_per_message": ratio(found[LIMIT], found[PER_MESSAGE]),
        "over_best_peer": ratio(found[TUNED], best_peer),
        "limit_over_best_peer": ratio(found[LIMIT], best_peer),
        "over_script_same_engine": ratio(found[TUNED], found[SCRIPT_ENGINE]),
        "over_untuned": ratio(found[TUNED], found[UNTUNED_NAME]),
        "exactly_once_over_at_least_once": ratio(found[EXACTLY_ONCE], found[TUNED]),
        "uint8_over_limit": ratio(found[IN_UINT8], found[LIMIT]),
    }
    return _outcome(bench, model, USUAL, found, ratios)


def other_sizes(bench: Bench) -> Sequence[Outcome]:
    """Run the contest with the light model and smaller and larger frames."""
    contests = {
        size: _contest(bench, light(), size, _main_contestants(bench), bench.effort.few)
        for size in SIZES
        if size != USUAL
    }
    return [_outcome(bench, light(), size, found, {}) for size, found in contests.items()]


def heavy_model(bench: Bench) -> Outcome:
    """Run the contest with the heavy model and usual frames."""
    found = _contest(bench, heavy(), USUAL, _main_contestants(bench), bench.effort.few)
    return _outcome(bench, heavy(), USUAL, found, {"of_limit_heavy": ratio(found[TUNED], found[LIMIT])})


def null_model(bench: Bench) -> Outcome:
    """Measure the cost of everything but the model, compared with a minimal loop."""
    bench.fill_for(null(), USUAL)
    starts: Starts = {BARE_KAFKA: [bare_kafka(bench.engine, cores=bench.cores)], TUNED: [worker(bench.profile)]}
    runs = _runs(bench, null(), USUAL, starts)
    found = alternate(runs, bench.effort.few, partial(_tell, bench, f"null {name_of(USUAL)}"))
    return _outcome(bench, null(), USUAL, found, {"of_bare_null": ratio(found[TUNED], found[BARE_KAFKA])})


def exactly_once(profile: Settings) -> Settings:
    """Return a profile with exactly once."""
    return {**profile, "delivery": {**profile.get("delivery", {}), "guarantee": "exactly_once"}}


def _contestants(bench: Bench) -> Starts:
    return {
        TUNED: [worker(bench.profile)],
        UNTUNED_NAME: [worker(UNTUNED)],
        PER_MESSAGE: [script("per_message")],
        SCRIPT: [script("batching_script")],
        SCRIPTS: script_on_each_core("batching_script", bench.cores),
        SCRIPT_ENGINE: [script("batching_script", "--engine", json.dumps(dict(bench.engine)))],
        QUIX: [quix_streams()],
    }


def _main_contestants(bench: Bench) -> Starts:
    starts = _contestants(bench)
    return {name: starts[name] for name in MAIN_CONTESTANTS}


def _contest(bench: Bench, model: TimedModel, size: Size, starts: Starts, rounds: int) -> dict[str, list[float]]:
    """Let the best bare loop, which needs no Kafka, take turns with the others."""
    best = bench.limit(model, size)
    bench.fill_for(model, size, best)
    runs: dict[str, Callable[[], float]] = {LIMIT: partial(bench.measure_bare, model, best)}
    runs |= _runs(bench, model, size, starts)
    return alternate(runs, rounds, partial(_tell, bench, f"{model.name} {name_of(size)}"))


def _runs(bench: Bench, model: TimedModel, size: Size, starts: Starts) -> dict[str, Callable[[], float]]:
    return {name: partial(bench.measure, model, size, *each) for name, each in starts.items()}


def _tell(bench: Bench, where: str, number: int, name: str, reached: float) -> None:
    bench.tell(f"{where}, round {number}, {name}: {reached:.1f} frames/s")


def _outcome(
    bench: Bench, model: TimedModel, size: Size, found: Mapping[str, Sequence[float]], ratios: Mapping[str, Spread]
) -> Outcome:
    spreads = {name: Spread.of(rates) for name, rates in found.items()}
    rows = [[name, *each.cells()] for name, each in spreads.items()]
    title = f"{model.name} model, {name_of(size)}"
    best = [f"The best bare loop: {next(iter(bench.limits(model, bench.engine)))}."] if LIMIT in found else []
    return Outcome(
        title.capitalize(),
        " ".join([TEXT, *best, what_tuning_chose(bench.profile)]),
        [Table(("contestant", "frames/s", "rounds"), rows)],
        ratios,
        [
            Bars(
                f"{model.name}-{name_of(size)}",
                title,
                "frames/s",
                {name: each.median for name, each in spreads.items()},
            )
        ],
    )
