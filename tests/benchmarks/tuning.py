"""Tune several times on a noisy machine, and say how far each choice is from the best that any run has found.

A process keeps a core busy in random bursts, also while the choices are compared afterwards: what is best while others
need a core need not be best on an idle machine.

    python -m tests.benchmarks.tuning --times 10 [--quick] [--kafka]
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from rich.console import Console

from tests.benchmarks.frames import USUAL, write_pictures
from tests.benchmarks.models import light
from worker.cli.tune_kafka import finalists_on_kafka
from worker.models.container import cores
from worker.models.engines.torch_engine import describe_processor
from worker.models.manifest import load_manifest
from worker.ops.logs import configure_logs
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Choice, Groups
from worker.tuning.agreement import Bounds
from worker.tuning.candidates import Room
from worker.tuning.frames import read_frames, sample_frames, set_apart
from worker.tuning.search import FINAL, Tried, search
from worker.tuning.trials import Trials

CLOSE: Final = 0.95
"""Share of the best speed that a choice must reach."""
COMPARED: Final = 8.0
"""Seconds, as of `vision-worker tune --seconds`, for the comparison: longer runs vary less."""
BURST: Final = (0.2, 15.0)
"""Shortest and longest seconds that a core is busy, and then idle."""


class Effort(NamedTuple):
    """How long each part takes.

    Attributes:
        seconds: for how long a candidate is measured at first, as of `vision-worker tune --seconds`.
        frames: number of frames.
        rounds: runs of each choice when they are compared.
        fixed: settings that are not searched.
        engines: those to choose from; None for all.
    """

    seconds: float
    frames: int
    rounds: int
    fixed: Mapping[str, str]
    engines: Sequence[str] | None


WHOLE: Final = Effort(3.0, 200, 30, {}, None)
QUICK: Final = Effort(
    1.5,
    32,
    16,
    {"precision": "fp32", "memory_format": "channels_last", "preparation": "exact"},
    ("eager", "openvino"),
)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    configure_logs(level="critical", json=False)
    effort = QUICK if options.quick else WHOLE
    manifest = load_manifest(light().folder)
    groups = Groups(ModelGroup(path=manifest.file, profile="off", **effort.fixed), WindowGroup(), Limits())
    tell(f"{manifest.name} on {describe_processor('cpu')[0]}, {cores()} cores; load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        pictures = sample_frames(read_frames(write_pictures(USUAL, Path(folder))), effort.frames, in_a_row=False)
    judged, calibration = set_apart(pictures, in_a_row=False)
    trials = Trials(manifest, groups, judged, calibration=calibration, bounds=Bounds(), seconds=effort.seconds)
    room = Room.of(groups, cores=cores())
    if effort.engines:
        room = replace(room, values={**room.values, "model.engine": effort.engines})
    kafka = finalists_on_kafka(None, manifest, judged, seconds=effort.seconds, console=Console(stderr=True))
    with kafka if options.kafka else nullcontext(None) as trials.run_finalist:
        found = [_tune(number, room, trials, effort) for number in range(1, options.times + 1)]
        finalists = [each.settings for run in found for each in run[1] if each.stage == FINAL.name]
        distinct = [each for number, each in enumerate(finalists) if each not in finalists[:number]]
        tell(f"comparing {len(distinct)} candidates, {effort.rounds} times each")
        trials.seconds = COMPARED
        with _noise(0):
            speeds = _compare(trials, distinct, effort.rounds)
    best = max(speeds)
    for number, (settings, _) in enumerate(found, start=1):
        tell(f"run {number}: {speeds[distinct.index(settings)] / best:6.1%} of the best, {_text(settings)}")
    close = sum(speeds[distinct.index(settings)] >= CLOSE * best for settings, _ in found)
    tell(f"the best of all: {_text(distinct[speeds.index(best)])}")
    tell(f"{close} of {len(found)} within {1 - CLOSE:.0%} of the best")
    return 0


def tell(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tune(number: int, room: Room, trials: Trials, effort: Effort) -> tuple[Choice, Sequence[Tried]]:
    began = time.monotonic()
    with _noise(number):
        found = search(room, trials, seconds=effort.seconds)
    took, speed = time.monotonic() - began, found.frames_per_second
    tell(f"run {number}: {took:.0f} s, {speed:.0f} frames/s, {_text(found.settings)}")
    return found.settings, found.tried


def _compare(trials: Trials, choices: Sequence[Choice], rounds: int) -> list[float]:
    """Return the speed of each candidate over that of the first: the median of ratios of runs in turn with it."""
    first, *others = choices
    ratios: list[list[float]] = [[] for _ in others]
    for number in range(rounds):
        order = 1 if number % 2 else -1
        for choice, mine in list(zip(others, ratios, strict=True))[::order]:
            speed, of_first = [trials.run(FINAL, each).per_second for each in (choice, first)[::order]][::order]
            mine.append(speed / of_first)
    return [1.0, *map(median, ratios)]


@contextmanager
def _noise(seed: int) -> Iterator[None]:
    """Keep a core busy in random bursts."""
    process = get_context("spawn").Process(target=_burn, args=(seed,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn(seed: int) -> None:
    rng, parent = random.Random(seed), os.getppid()  # noqa: S311 - not a secret
    while os.getppid() == parent:  # also if the benchmark was killed
        ends = time.monotonic() + rng.uniform(*BURST)
        while time.monotonic() < ends:
            pass
        time.sleep(rng.uniform(*BURST))


def _text(choice: Choice) -> str:
    return ", ".join(f"{name.partition('.')[2]}={value}" for name, value in choice.items()) or "as it comes"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.benchmarks.tuning", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--times", type=int, default=10, help="how often to tune")
    parser.add_argument("--quick", action="store_true", help="fewer settings, fewer frames, and shorter runs")
    parser.add_argument("--kafka", action="store_true", help="compare the best on a local Kafka, as tune does")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
