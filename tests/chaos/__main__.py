"""Run real workers on real brokers through production faults: `python -m tests.chaos [--quick]`.

Each scenario runs in both modes, at least once and exactly once. Afterwards all topics are read completely and compared
with the worker's guarantees. A table of the results is printed, and written to build/chaos.md and build/chaos.json. The
exit status is 1 if anything failed.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException

from tests.chaos.run import Run
from tests.chaos.scenarios import SCENARIOS, Scenario
from worker.domain.errors import WorkerError
from worker.local.broker import LocalKafka
from worker.ops.logs import configure_logs

MODES: Final = ("at_least_once", "exactly_once")
BUILD: Final = Path(__file__).parents[2] / "build"


@dataclass(slots=True)
class Result:
    """One row of the table.

    Attributes:
        figures: additional counts and measurements of the scenario.
        faults: violated guarantees and expectations.
    """

    scenario: str
    mode: str
    counts: dict[str, int | bool]
    figures: dict[str, float]
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        named = {"scenario": self.scenario, "mode": self.mode, **self.counts, "passed": not self.faults}
        return {**named, **self.figures}


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    configure_logs(level="critical", json=False)  # this process's clients would log every broker outage
    shutil.rmtree(BUILD / "chaos", ignore_errors=True)
    scenarios = [each for each in SCENARIOS if options.only in (None, each.name)]
    modes = [mode for mode in MODES if options.mode in (None, mode)]
    results: list[Result] = []
    for result in _run_all(scenarios, modes, quick=options.quick, seed=options.seed, seconds=options.seconds):
        results.append(result)
        _print("; ".join(result.faults) or "passed")
        (BUILD / "chaos.md").write_text(_report(results, options.seed))
        (BUILD / "chaos.json").write_text(json.dumps([each.as_json() for each in results], indent=1) + "\n")
    _print(f"\n{_report(results, options.seed)}", end="")
    return int(any(each.faults for each in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.chaos", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="shorter scenarios, in a few minutes")
    parser.add_argument("--only", choices=[each.name for each in SCENARIOS], help="run one scenario")
    parser.add_argument("--mode", choices=MODES, help="use one delivery guarantee")
    parser.add_argument("--seconds", type=float, help="how long `soak` runs in each mode, at least 30")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 10**6, help="seed that repeats a run's random choices"
    )
    return parser


def _run_all(
    scenarios: Sequence[Scenario], modes: Sequence[str], *, quick: bool, seed: int, seconds: float | None
) -> Iterator[Result]:
    for nodes, of_nodes in groupby(scenarios, key=lambda each: each.nodes):
        with LocalKafka(nodes) as kafka:
            for scenario in of_nodes:
                for mode in modes:
                    _print(f"{scenario.name}, {mode}, seed {seed}:", end=" ")
                    folder = BUILD / "chaos" / f"{scenario.name}-{mode}"
                    folder.mkdir(parents=True)
                    run = Run(kafka, nodes, mode, quick=quick, seed=seed, folder=folder, seconds=seconds)
                    yield _run_scenario(scenario, run)


def _run_scenario(scenario: Scenario, run: Run) -> Result:
    began, faults = time.monotonic(), list[str]()
    try:
        scenario.play(run)
        run.finish()
    except (AssertionError, WorkerError, KafkaException, OSError) as error:
        # The text may contain a worker's whole log: the first line says what was expected, the last one the cause.
        lines = str(error).splitlines()
        faults.append(f"{type(error).__name__}: {' ... '.join(dict.fromkeys([*lines[:1], *lines[-1:]]))[:800]}")
    finally:
        run.close()
    verdict = run.judge()
    return Result(
        scenario.name,
        run.mode,
        {
            "produced": verdict.produced,
            "predicted": verdict.predicted,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "accuracy_equal": verdict.accuracy_equal,
        },
        {
            "longest_pause_s": round(verdict.longest_pause, 1),
            "took_s": round(time.monotonic() - began),
            **verdict.figures,
            **run.figures,
        },
        faults + run.faults + verdict.faults(run.mode, run.sent),
    )


def _report(results: Sequence[Result], seed: int) -> str:
    faults = [f"- {each.scenario}, {each.mode}: {fault}" for each in results for fault in each.faults]
    return "\n\n".join([_table(results), *(["\n".join(faults)] if faults else []), f"Seed {seed}.\n"])


def _table(results: Sequence[Result]) -> str:
    columns = ("scenario", "mode", "produced", "predicted", "lost", "duplicated", "accuracy_equal", "passed")
    lines = [[*columns, "figures"], ["---"] * (len(columns) + 1)]
    for result in results:
        content = result.as_json()
        figures = ", ".join(f"{name} {value:g}" for name, value in result.figures.items())
        lines.append([*(_format(content[name]) for name in columns), figures])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _format(value: object) -> str:
    return {True: "yes", False: "NO"}[value] if isinstance(value, bool) else str(value)


def _print(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
