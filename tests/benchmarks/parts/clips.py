"""Compare the clips per second of a worker on Kafka with those of a bare loop on the same engine."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.benchmarks.bench import Bench, Effort
from tests.benchmarks.frames import CAMERA_RATE, USUAL, write_pictures
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import TimedModel
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.processes import bare, worker
from tests.benchmarks.profiles import Settings
from tests.support.video_models import drawn_video_model

ENGINES: Final = ("openvino", "eager")
ARCHITECTURE: Final = "r3d_18"
FRAMES: Final = 16
EFFORT: Final = Effort(rounds=3, few=3, seconds=25, results=24, warm=3)
"""A clip takes as long as a hundred pictures."""
CLIPS_A_SECOND: Final = 8
"""More than any machine here makes; the topic holds enough frames for that."""


def clips(bench: Bench) -> Sequence[Outcome]:
    """Let r3d_18 classify clips that do not overlap: every frame is decoded once, in the worker and in the loop."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = drawn_video_model(Path(scratch), ARCHITECTURE, FRAMES)
        model = TimedModel("clips", ARCHITECTURE, folder, folder / "weights.pth")
        effort, bench.effort = bench.effort, replace(EFFORT, rounds=1, few=1) if bench.quick else EFFORT
        try:
            bench.fill(USUAL, int(CLIPS_A_SECOND * FRAMES * (EFFORT.warm + EFFORT.seconds + 2)))
            return [_contest(bench, model, engine) for engine in ENGINES]
        finally:
            bench.effort = effort


def _contest(bench: Bench, model: TimedModel, engine: str) -> Outcome:
    group = {"engine": engine, "streams": bench.cores, "threads": bench.cores}
    # Cameras send ten frames a second: each frame fills a slot, so every decoded frame is used once.
    profile: Settings = {"model": group, "sampling": {"rate": CAMERA_RATE}}
    pictures = write_pictures(USUAL, bench.folder / "pictures")
    runs = {
        "bare loop, no Kafka": partial(bench.measure_bare, model, bare(pictures, group, cores=bench.cores)),
        "this worker": partial(bench.measure, model, USUAL, worker(profile)),
    }
    found = alternate(
        runs,
        bench.effort.few,
        lambda number, name, reached: bench.tell(f"clips, {engine}, round {number}, {name}: {reached:.3f} clips/s"),
    )
    rows = [[name, *Spread.of(rates).cells(3)] for name, rates in found.items()]
    ratios = {f"of_limit_clips_{engine}": ratio(found["this worker"], found["bare loop, no Kafka"])}
    bench.tell(f"clips, {engine}: {ratios[f'of_limit_clips_{engine}']}")
    return Outcome(
        f"Clips, {engine}",
        f"{ARCHITECTURE} on clips of {FRAMES} frames of 640x480, prepared to 112x112, on {bench.cores} cores. Clips "
        "per second, measured as frames per second are. Higher is better.",
        [Table(("contestant", "clips/s", "range"), rows)],
        ratios,
    )
