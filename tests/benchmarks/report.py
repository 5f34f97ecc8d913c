"""Write outcomes to files: Markdown and SVG for people, JSON for programs."""

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Spread
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.svg import draw


@dataclass(frozen=True, slots=True)
class Target:
    """The limits of a ratio, and its meaning."""

    meaning: str
    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Tell whether a value is within the limits."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        least = [] if self.least is None else [f"at least {self.least:g}"]
        most = [] if self.most is None else [f"at most {self.most:g}"]
        return " and ".join(least + most)


TARGETS: Final[Mapping[str, Target]] = {
    "of_limit_light": Target("tuned worker over the best bare loop without Kafka, light model", least=0.95),
    "of_limit_heavy": Target("the same, heavy model", least=0.98),
    "of_limit_clips_openvino": Target("worker with a stream for each core over the best bare loop, clips"),
    "of_limit_clips_eager": Target("the same, with torch"),
    "of_limit_detection": Target("the same, detection with torch"),
    "of_loop_same_settings": Target("tuned worker over a bare loop with the same settings"),
    "of_loop_without_broker": Target(
        "the same without the CPU time of the broker, which has the same cores", least=0.95
    ),
    "own_cpu_over_bare": Target("CPU time for a frame of the worker's threads over that of the bare loop's"),
    "broker_share": Target("share of all cores that the broker takes while the tuned worker runs"),
    "idle_share": Target("share of all cores that is idle meanwhile"),
    "of_bare_null": Target("tuned worker over a bare loop on Kafka, null model", least=0.85),
    "over_per_message": Target("tuned worker over a loop with one message at a time", least=7),
    "limit_over_per_message": Target(
        "the bare loop over a loop with one message at a time: the most this machine allows"
    ),
    "over_best_peer": Target("tuned worker over the best peer that prepares pictures as it does", least=2.2),
    "limit_over_best_peer": Target("the best bare loop over that peer: the most that this machine allows"),
    "over_script_same_engine": Target("tuned worker over the batching script on the same engine", least=1.3),
    "p99_over_bound_50": Target("p99 at 50 % load over linger + two calls of the model + 15 ms", most=1),
    "p99_over_target_100": Target("p99 over window.latency_target_ms=100, at the worst load", most=1),
    "p99_over_target_200": Target("the same, with 200 ms", most=1),
    "p99_over_target_500": Target("the same, with 500 ms", most=1),
    "exactly_once_over_at_least_once": Target("throughput with exactly once over at least once", least=0.9),
    "two_workers_over_one": Target("two workers on one core each over one worker on one core, light model", least=1.9),
    "two_loops_over_one": Target("the same for bare loops: the most that this machine allows"),
    "two_workers_over_one_heavy": Target("two workers on one core each over one worker on one core, heavy model"),
    "two_loops_over_one_heavy": Target("the same for bare loops: the most that this machine allows"),
    "over_spark": Target("tuned worker over Spark Structured Streaming", least=3),
    "over_flink": Target("tuned worker over PyFlink", least=3),
    "box_over_spark": Target("worker with default settings over Spark Structured Streaming", least=1.8),
    "box_over_flink": Target("the same, over PyFlink", least=1.8),
    "box_over_two_scripts": Target("the same, over the batching script with one process a core"),
    "box_over_best_of_all_peers": Target("the same, over the best of all other contestants"),
    "over_two_scripts": Target("tuned worker over the batching script with one process a core"),
    "over_best_of_all_peers": Target("tuned worker over the best of all other contestants", least=2.2),
    "uint8_over_spark": Target(
        "worker that resizes in uint8, else with default settings, over Spark Structured Streaming"
    ),
    "uint8_over_flink": Target("the same, over PyFlink"),
    "uint8_over_two_scripts": Target("the same, over the batching script with one process a core"),
    "uint8_over_best_of_all_peers": Target("the same, over the best of all other contestants"),
    "uint8_over_limit": Target(
        "worker that resizes in uint8, else with default settings, over the best bare loop, which resizes in float",
        least=1.15,
    ),
    "over_untuned": Target("tuned worker over a worker without a profile", most=1.4),
}
"""The important ratios; those without a limit put another one into perspective."""

_PACKAGES: Final = ("torch", "torchvision", "openvino", "onnxruntime", "opencv-python-headless", "confluent-kafka")


def as_json(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Return every ratio and its spread, flat: `name`, `name_low` and `name_high`."""
    flat: dict[str, float] = {}
    for outcome in outcomes:
        for name, spread in outcome.ratios.items():
            flat |= {name: spread.median, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {name: round(value, 4) for name, value in flat.items()}


def as_markdown(outcomes: Sequence[Outcome], *, quick: bool, charts: str) -> str:
    """Return the whole report.

    Args:
        outcomes: outcomes of the parts, in order.
        quick: whether it was a quick run.
        charts: the folder of the charts, relative to the report.
    """
    ratios = {name: spread for outcome in outcomes for name, spread in outcome.ratios.items()}
    parts = ["# How fast the worker is", "\n".join(f"- {line}" for line in circumstances(quick=quick))]
    if ratios:
        parts += ["## Ratios", render(_ratio_table(ratios))]
    for outcome in outcomes:
        parts += [f"## {outcome.title}", outcome.text, *map(render, outcome.tables)]
        parts += [f"![{chart.title}]({charts}/{chart.name}.svg)" for chart in outcome.charts]
    return "\n\n".join(parts) + "\n"


def render(table: Table) -> str:
    """Return a table as Markdown."""
    rows = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(outcomes: Sequence[Outcome], folder: Path, *, quick: bool) -> None:
    """Write bench.md and bench.json, and the charts to the folder `bench`."""
    charts = folder / "bench"
    charts.mkdir(parents=True, exist_ok=True)
    for outcome in outcomes:
        for chart in outcome.charts:
            (charts / f"{chart.name}.svg").write_text(draw(chart), encoding="utf-8")
    (folder / "bench.md").write_text(as_markdown(outcomes, quick=quick, charts=charts.name), encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(as_json(outcomes), indent=1) + "\n", encoding="utf-8")


def _ratio_table(ratios: Mapping[str, Spread]) -> Table:
    rows = []
    for name, spread in ratios.items():
        target = TARGETS.get(name, Target(""))
        verdict = ("yes" if target.met(spread.median) else "NO") if str(target) else ""
        figures = spread.cells(2)
        rows.append([f"`{name}`", *figures, str(target), verdict, target.meaning])
    return Table(("ratio", "median", "rounds", "target", "met", "meaning"), rows)


def circumstances(*, quick: bool) -> Iterable[str]:
    """Yield when, where and how a run measured."""
    yield f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {'a quick' if quick else 'a full'} run"
    yield f"{processor()}; worker, cameras and broker share {len(os.sched_getaffinity(0))} cores"
    yield f"Python {platform.python_version()}, {', '.join(_versions())}"
    yield (
        "each rate is the median of rounds in which all contestants took turns, and each ratio is the median of the "
        "rounds' ratios; the lowest and the highest are next to it"
    )
    yield (
        "the weights of the light and the heavy model are random numbers from a fixed seed: speed does not depend on "
        "them, and the answers mean nothing"
    )


def _versions() -> Iterable[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
