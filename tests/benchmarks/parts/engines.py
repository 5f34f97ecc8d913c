"""Compare the worker with the engines and scripts that data engineers would take, on the same frames and model.

First all take turns on a backlog. Then each answers the same frames with real weights, so that none is fast by doing
less.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from tests.benchmarks import sessions
from tests.benchmarks.answers import Found, Names, compare, expected_names, frames_to_answer, names_of
from tests.benchmarks.bench import Bench
from tests.benchmarks.contestants.environments import version_of
from tests.benchmarks.frames import USUAL, name_of
from tests.benchmarks.measure import Spread, alternate, best_of, ratio
from tests.benchmarks.models import TimedModel, light
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.parts.throughput import (
    IN_UINT8,
    PER_MESSAGE,
    QUIX,
    SCRIPT,
    SCRIPTS,
    TUNED,
    UNTUNED_NAME,
    Starts,
)
from tests.benchmarks.processes import (
    Contestant,
    Place,
    Start,
    flink,
    quix_streams,
    script,
    script_on_each_core,
    spark,
    worker,
)
from tests.benchmarks.profiles import UINT8, UNTUNED, what_tuning_chose
from tests.support.workers import wait_until
from worker.domain.records import Record
from worker.domain.times import EventMillis
from worker.models.manifest import load_manifest
from worker.models.ready import ready_model

SPARK: Final = "Spark Structured Streaming"
FLINK: Final = "PyFlink"
OURS: Final = {TUNED: "", UNTUNED_NAME: "box_", IN_UINT8: "uint8_"}
"""The contestants that are this worker, with the prefix of their ratios' names."""

VERSIONS: Final = ("spark", "flink", "quixstreams")
ROUNDS: Final = 3
WARM: Final = 5.0
"""Seconds: an engine's processes load the model one after the other, and its first result is that of the first."""
ANSWERED: Final = "frames-to-answer"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a contestant used in one round.

    Attributes:
        cpu: CPU milliseconds of all its processes for each frame.
        memory: bytes of all its processes together.
    """

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Answered:
    """How a contestant answered, and how many seconds after its start its first result was written."""

    found: Found
    first_after: float


def engines(bench: Bench) -> Outcome:
    """Measure throughput, costs and start of all contestants, and compare their answers."""
    contestants = _contestants(bench)
    bench.fill_for(light(), USUAL, warm=WARM)
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    runs = {name: partial(_run, bench, starts, costs[name]) for name, starts in contestants.items()}
    rates = alternate(
        runs,
        max(ROUNDS, bench.effort.few),
        lambda number, name, reached: bench.tell(f"engines, round {number}, {name}: {reached:.1f} frames/s"),
    )
    answered = _answers(bench, contestants)
    return outcome(rates, costs, answered, what_tuning_chose(bench.profile))


def outcome(
    rates: Mapping[str, Sequence[float]],
    costs: Mapping[str, Sequence[Cost]],
    answered: Mapping[str, Answered],
    tuning: str,
) -> Outcome:
    """Return table, ratios and chart; each mapping has all contestants, and `tuning` says what tuning chose."""
    rows = [
        [
            name,
            *Spread.of(rates[name]).cells(),
            f"{median(cost.cpu for cost in costs[name]):.1f}",
            f"{median(cost.memory for cost in costs[name]) / 2**20:.0f}",
            f"{answered[name].first_after:.1f}",
            str(answered[name].found),
        ]
        for name in rates
    ]
    columns = ("contestant", "frames/s", "rounds", "CPU ms a frame", "MiB", "first result, s", "same answers")
    peers = {name: found for name, found in rates.items() if name not in OURS}
    rivals = {
        "spark": rates[SPARK],
        "flink": rates[FLINK],
        "two_scripts": rates[SCRIPTS],
        "best_of_all_peers": peers[best_of(peers)],
    }
    ratios = {
        f"{prefix}over_{rival}": ratio(rates[ours], theirs)
        for ours, prefix in OURS.items()
        for rival, theirs in rivals.items()
    }
    return Outcome(
        "Other engines",
        f"Light model, {name_of(USUAL)}, a backlog; {', '.join(map(version_of, VERSIONS))}. {tuning}",
        [Table(columns, rows)],
        ratios,
        [
            Bars(
                "engines",
                "Frames from Kafka to Kafka",
                "frames/s",
                {name: median(found) for name, found in rates.items()},
            )
        ],
    )


def _contestants(bench: Bench) -> Starts:
    return {
        TUNED: [worker(bench.profile)],
        UNTUNED_NAME: [worker(UNTUNED)],
        IN_UINT8: [worker(UINT8)],
        SPARK: [spark(bench.cores)],
        FLINK: [flink(bench.cores)],
        SCRIPTS: script_on_each_core("batching_script", bench.cores),
        SCRIPT: [script("batching_script")],
        QUIX: [quix_streams()],
        PER_MESSAGE: [script("per_message")],
    }


def _run(bench: Bench, starts: Sequence[Start], costs: list[Cost]) -> float:
    """Measure one round; its cost is appended."""
    used: list[tuple[float, int]] = []

    @contextmanager
    def watched(contestants: Sequence[Contestant]) -> Iterator[None]:
        before, began = sum(sessions.cpu_seconds(each.session) for each in contestants), time.monotonic()
        yield
        cpu = sum(sessions.cpu_seconds(each.session) for each in contestants) - before
        used.append((cpu / (time.monotonic() - began), sum(sessions.memory(each.session) for each in contestants)))

    rate = bench.measure(light(), USUAL, *starts, during=watched, warm=WARM)
    cores, memory = used[-1]
    costs.append(Cost(cores / rate * 1000, memory))
    return rate


def _answers(bench: Bench, contestants: Starts) -> dict[str, Answered]:
    """Let each contestant answer the same frames once."""
    count = 240 if bench.quick else 3000
    manifest = load_manifest(ready_model("mobilenet_v2"))
    model = TimedModel("real", "mobilenet_v2", manifest.file.parent, manifest.file)
    expected = expected_names(manifest, count)
    bench.create(ANSWERED)
    bench.send(frames_to_answer(ANSWERED, count, EventMillis(time.time_ns() // 1_000_000)))
    answered = {}
    for name, starts in contestants.items():
        answered[name] = answer(bench, ANSWERED, model, starts, expected)
        bench.tell(
            f"{name}: {answered[name].found} answers as expected, first after {answered[name].first_after:.1f} s"
        )
    return answered


def answer(bench: Bench, frames: str, model: TimedModel, starts: Sequence[Start], expected: Names) -> Answered:
    """Let a contestant answer the frames of a topic, until each has a result.

    Args:
        bench: the bench.
        frames: the topic.
        model: the model.
        starts: functions that start the contestant's processes.
        expected: the expected answers.
    """
    with bench.place(frames) as place, ExitStack() as undo:
        began, contestants = time.time(), list[Contestant]()
        for start in starts:
            contestants.append(start(place, model))
            undo.callback(contestants[-1].stop)
        results: list[Record] = []
        while len({each.key for each in results}) < len(expected):
            wait_until(partial(_more, bench, place, contestants, len(results)), "another result", every=0.5)
            results = bench.read(place.results)
    first = min(each.timestamp for each in results) / 1000
    return Answered(compare(expected, names_of(results)), first - began)


def _more(bench: Bench, place: Place, contestants: Sequence[Contestant], have: int) -> bool:
    for each in contestants:
        assert each.alive, f"a contestant has ended:\n{each.log.read_text()[-3000:]}"
    return bench.count(place.results) > have
