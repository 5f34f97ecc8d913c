"""Tune several times on a noisy machine, and say how far each choice is from the best that any run has found.

Another program keeps a core busy in random bursts, a third of the time. It ends before the choices are compared. The
workers run on a local Kafka, as `tune` runs them.

    python -m tests.benchmarks.tuning --times 10 [--quick]
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from tests.benchmarks.frames import USUAL, write_pictures
from tests.benchmarks.models import light
from tests.benchmarks.noise import noise
from worker.cli.tune_kafka import workers_on_kafka
from worker.models.container import cores
from worker.models.engines.torch_engine import describe_processor
from worker.models.manifest import load_manifest
from worker.ops.logs import configure_logs
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Choice, Groups
from worker.tuning.agreement import Bounds
from worker.tuning.candidates import Room
from worker.tuning.disturbance import Undisturbed, looks
from worker.tuning.frames import read_frames, sample_frames, set_apart
from worker.tuning.pairs import EQUAL, LEAST, SAME, Ratio, add_pairs, ratio_of
from worker.tuning.search import FINAL, Tried, search, unique
from worker.tuning.trials import Trials

CLOSE: Final = 0.95
"""Share of the best speed that a choice must reach."""
FOR_THE_BEST: Final = 8
"""Pairs by which the best candidate is found; its lead is measured anew then, or luck would be a part of it."""


class Effort(NamedTuple):
    """How long each part takes.

    Attributes:
        seconds: for how long a candidate is measured at first, as of `vision-worker tune --seconds`.
        frames: number of frames.
        pairs: most pairs of a choice and the best candidate when they are compared.
        values: settings that have only these values to choose from.
    """

    seconds: float
    frames: int
    pairs: int
    values: Mapping[str, Sequence[object]]


WHOLE: Final = Effort(3.0, 200, 64, {})
QUICK: Final = Effort(
    1.5,
    32,
    32,
    {
        "model.engine": ("openvino",),
        "model.precision": ("fp32",),
        "model.memory_format": ("channels_last",),
        "model.preparation": ("exact",),
        "window.max_frames": (32, 16, 64),
        "limits.decode_threads": (None,),
    },
)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    configure_logs(level="critical", json=False)
    effort = QUICK if options.quick else WHOLE
    manifest = load_manifest(light().folder)
    groups = Groups(ModelGroup(path=light().folder, profile="off"), WindowGroup(), Limits())
    tell(f"{manifest.name} on {describe_processor('cpu')[0]}, {cores()} cores; load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        pictures = sample_frames(read_frames(write_pictures(USUAL, Path(folder))), effort.frames, in_a_row=False)
    judged, calibration = set_apart(pictures, in_a_row=False)
    room = Room.of(groups, cores=cores())
    room = replace(room, values={**room.values, **effort.values})
    with workers_on_kafka(None, manifest, judged, seconds=effort.seconds, console=Console(stderr=True)) as workers:
        if workers is None:
            return 1
        trials = Trials(
            manifest,
            groups,
            judged,
            calibration=calibration,
            bounds=Bounds(),
            seconds=effort.seconds,
            undisturbed=(runs := Undisturbed(looks(workers.brokers), seconds=effort.seconds)),
            on_kafka=workers,
        )
        found = [_tune(number, room, trials, effort) for number in range(1, options.times + 1)]
        tell(f"{runs.repeated} runs were repeated, which took {runs.wasted:.0f} s; {runs.endured} disturbed runs count")
        finalists = unique(each.settings for _, tried in found for each in tried if each.stage == FINAL.name)
        chosen = unique(settings for settings, _ in found)
        best, shares = _shares(trials, chosen, finalists, effort.pairs)
        tell(f"the best of {len(finalists)} finalists: {_text(best)}")
    for number, (settings, _) in enumerate(found, start=1):
        share = shares[chosen.index(settings)]
        interval = f"{share.middle:6.1%} ({share.low:.1%} to {share.high:.1%})"
        tell(f"run {number}: {interval} of the best, {_text(settings)}")
    close = sum(shares[chosen.index(settings)].middle >= CLOSE for settings, _ in found)
    tell(f"{close} of {len(found)} within {1 - CLOSE:.0%} of the best")
    return 0


def tell(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tune(number: int, room: Room, trials: Trials, effort: Effort) -> tuple[Choice, Sequence[Tried]]:
    began = time.monotonic()
    with noise(number):
        found = search(room, trials, seconds=effort.seconds)
    tell(f"run {number}: {time.monotonic() - began:.0f} s")
    for each in found.tried:
        ratio = f"{each.ratio.middle:.2f} ({each.ratio.low:.2f} to {each.ratio.high:.2f})" if each.ratio else "-"
        tell(f"  {each.stage}: {ratio} in {each.pairs} pairs, {_text(each.settings)}")
    tell(f"  chosen: {_text(found.settings)}")
    return found.settings, found.tried


def _shares(
    trials: Trials, chosen: Sequence[Choice], finalists: Sequence[Choice], pairs: int
) -> tuple[Choice, Sequence[Ratio]]:
    """Return the best finalist, and how fast each choice is compared with it."""
    champions = [_best(trials, finalists)]
    while True:
        shares = [_compare(trials, each, champions[-1], pairs) for each in chosen]
        fastest = max(range(len(chosen)), key=lambda number: shares[number].middle)
        if shares[fastest].middle <= EQUAL or chosen[fastest] in champions:
            return champions[-1], shares
        champions.append(chosen[fastest])  # the one before seemed to be the best by luck


def _best(trials: Trials, choices: Sequence[Choice]) -> Choice:
    """Return the fastest of some candidates; each meets the first of them."""
    ratios = [_ratio(trials, each, choices[0], FOR_THE_BEST, lambda _: False) for each in choices]
    return choices[max(range(len(choices)), key=lambda number: ratios[number].middle)]


def _compare(trials: Trials, choice: Choice, best: Choice, pairs: int) -> Ratio:
    """Measure how fast a choice is compared with the best, until it is certain whether that is close."""
    return _ratio(trials, choice, best, pairs, lambda ratio: ratio.low >= CLOSE or ratio.high < CLOSE)


def _ratio(trials: Trials, one: Choice, other: Choice, pairs: int, enough: Callable[[Ratio], bool]) -> Ratio:
    if one == other:
        return SAME
    runs = [lambda each=each: trials.run(FINAL, each) for each in (one, other)]
    return ratio_of(add_pairs([], *runs, at_least=LEAST, up_to=pairs, seconds=math.inf, enough=enough))


def _text(choice: Choice) -> str:
    return ", ".join(f"{name.partition('.')[2]}={value}" for name, value in choice.items()) or "as it comes"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.benchmarks.tuning", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--times", type=int, default=10, help="how often to tune")
    parser.add_argument("--quick", action="store_true", help="fewer settings, fewer frames, and shorter runs")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
