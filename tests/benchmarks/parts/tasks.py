"""Compare the worker on Kafka with the best bare loop in other tasks: clips of a 3D network, and detection."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.benchmarks.bench import Bench, Effort
from tests.benchmarks.frames import CAMERA_RATE, USUAL, name_of
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import TimedModel
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.processes import worker
from tests.benchmarks.profiles import Settings
from tests.support.dense_models import drawn_dense_model
from tests.support.video_models import drawn_video_model

CLIP: Final = 16
"""Frames."""


@dataclass(frozen=True, slots=True)
class OtherTask:
    """A task of the benchmark.

    Attributes:
        unit: what is counted.
        draw: writes the model's folder, with drawn weights, into another folder.
        engines: those that can run it.
        settings: of the worker, next to the engine's.
        effort: a clip takes as long as a hundred pictures.
        frames: of the topic, for each result.
        fastest: results per second; more than any machine here makes, so that the topic holds enough frames.
    """

    name: str
    architecture: str
    unit: str
    draw: Callable[[Path], Path]
    engines: Sequence[str]
    settings: Settings
    effort: Effort
    frames: int
    fastest: int


CLIPS: Final = OtherTask(
    name="clips",
    architecture="r3d_18",
    unit="clips",
    draw=lambda folder: drawn_video_model(folder, "r3d_18", CLIP),
    engines=("openvino", "eager"),
    # Cameras send ten frames a second: each frame fills a slot, and clips do not overlap. So every frame is decoded
    # once, as in the loop.
    settings={"sampling": {"rate": CAMERA_RATE}},
    effort=Effort(rounds=3, few=3, seconds=25, results=24, warm=3),
    frames=CLIP,
    fastest=8,
)
DETECTION: Final = OtherTask(
    name="detection",
    architecture="ssdlite320_mobilenet_v3_large",
    unit="pictures",
    draw=lambda folder: drawn_dense_model(folder, "ssdlite320_mobilenet_v3_large"),
    engines=("eager",),  # no other runs torchvision's detectors
    settings={},
    effort=Effort(rounds=3, few=3, seconds=6, results=64, warm=2),
    frames=1,
    fastest=100,
)


def clips(bench: Bench) -> Sequence[Outcome]:
    """Let a 3D network classify clips."""
    return _contests(bench, CLIPS)


def detection(bench: Bench) -> Sequence[Outcome]:
    """Let a detector find boxes."""
    return _contests(bench, DETECTION)


def _contests(bench: Bench, task: OtherTask) -> Sequence[Outcome]:
    """Compare the worker with the best bare loop on each engine."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = task.draw(Path(scratch))
        model = TimedModel(task.name, task.architecture, folder, folder / "weights.pth")
        effort, bench.effort = bench.effort, replace(task.effort, few=1) if bench.quick else task.effort
        try:
            bench.fill(USUAL, int(task.fastest * task.frames * (task.effort.warm + task.effort.seconds + 2)))
            return [_contest(bench, task, model, engine) for engine in task.engines]
        finally:
            bench.effort = effort


def _contest(bench: Bench, task: OtherTask, model: TimedModel, engine: str) -> Outcome:
    group = {"engine": engine, "streams": bench.cores, "threads": bench.cores}
    limit = next(iter(bench.limits(model, {}, [engine])))
    runs = {
        "best bare loop, no Kafka": partial(bench.measure_bare, model, bench.loop(USUAL, limit, cores=bench.cores)),
        "this worker": partial(bench.measure, model, USUAL, worker({"model": group, **task.settings})),
    }
    where = f"{task.name}, {engine}"
    found = alternate(
        runs,
        bench.effort.few,
        lambda number, name, reached: bench.tell(f"{where}, round {number}, {name}: {reached:.3f} {task.unit}/s"),
    )
    bare, ours = found.values()
    ratio_name = f"of_limit_{task.name}" + (f"_{engine}" if len(task.engines) > 1 else "")
    return Outcome(
        where.capitalize(),
        f"{task.architecture} with drawn weights, frames of {name_of(USUAL)}, on {bench.cores} cores. The bare loop "
        f"has the best of several settings: {limit}. The worker has a stream of one thread for each core. Higher is "
        "better.",
        [
            Table(
                ("contestant", f"{task.unit}/s", "rounds"),
                [[name, *Spread.of(rates).cells(3)] for name, rates in found.items()],
            )
        ],
        {ratio_name: ratio(ours, bare)},
    )
