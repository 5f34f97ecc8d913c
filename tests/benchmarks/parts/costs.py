"""The worker's costs: time of each hop, memory with a large backlog, and start-up time."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import TINY, USUAL, backlog, name_of
from tests.benchmarks.measure import Spread
from tests.benchmarks.models import TimedModel, heavy, light
from tests.benchmarks.outcome import Bars, Outcome, Table
from tests.benchmarks.processes import Contestant, Worker, worker
from worker.ops.telemetry import STAGES
from worker.settings import Limits

BEHIND: Final = 50_000
"""Frames in the topic while memory is measured."""


def hops(bench: Bench) -> Sequence[Outcome]:
    """Measure the cost of a frame with the worker's own histograms."""
    return [_hops(bench, model) for model in ([light()] if bench.quick else [light(), heavy()])]


def _hops(bench: Bench, model: TimedModel) -> Outcome:
    stages: dict[str, float] = {}
    frames = 0.0

    @contextmanager
    def watched(contestants: Sequence[Contestant]) -> Iterator[None]:
        nonlocal frames
        (measured,) = contestants
        assert isinstance(measured, Worker)
        stages_before, frames_before = measured.stage_seconds(), measured.frames()
        yield
        frames, stages_after = measured.frames() - frames_before, measured.stage_seconds()
        took = {stage: seconds - stages_before.get(stage, (0, 0))[0] for stage, (seconds, _) in stages_after.items()}
        stages.update({stage: took[stage] / frames * 1000 for stage in STAGES if stage in took})

    rate = bench.measure(model, USUAL, worker(bench.profile), during=watched)
    return Outcome(
        f"Cost of the hops, {model.name} model",
        f"Milliseconds of each hop, divided by the frames in the same time, at {rate:.0f} frames/s: tuned, "
        f"{name_of(USUAL)}, a backlog. Gathering is the time in which a batch waits for frames, not work.",
        [Table(("hop", "ms per frame"), [[stage, f"{each:.3f}"] for stage, each in stages.items()])],
        {},
        [
            Bars(
                f"hops-{model.name}",
                f"Cost of the hops, {model.name} model",
                "ms per frame",
                {stage: each for stage, each in stages.items() if stage != "gather"},
            )
        ],
    )


def memory(bench: Bench) -> Outcome:
    """Measure resident memory with a large backlog, compared with an idle worker."""
    limit = float(Limits(**bench.profile.get("limits", {})).memory)
    with bench.place() as place:
        measured = worker(bench.profile)(place, light())
        try:
            measured.wait_until_ready()
            time.sleep(bench.effort.warm)
            idle = measured.resident
            began = time.time()
            bench.send(backlog(place.frames, TINY, BEHIND))
            most, lag = idle, 0.0
            while time.time() < began + 20 + bench.effort.seconds:
                time.sleep(0.5)
                most = max(most, measured.resident)
                lag = max(lag, sum(measured.metrics("lag_records").values()))
        finally:
            measured.stop()
    grown = (most - idle) / limit
    mib = {"idle": idle, "highest with backlog": most, "growth": most - idle, "limits.memory": limit}
    rows = [[name, f"{value / 2**20:.0f}"] for name, value in mib.items()]
    return Outcome(
        "Memory",
        f"Resident memory of the tuned worker with the light model, with a backlog of up to {lag:.0f} labelled frames "
        f"of {name_of(TINY)}.",
        [Table(("memory", "MiB"), rows)],
        {"memory_growth_over_limit": Spread.of([grown])},
    )


def start_up(bench: Bench) -> Outcome:
    """Measure seconds from process start to readiness: the first time, when engines convert the model, and later."""
    found: Mapping[str, list[float]] = {"first": [], "second": []}
    for number in range(1 if bench.quick else bench.effort.few):
        with tempfile.TemporaryDirectory() as cache, _cache(Path(cache)):
            for name, seconds in found.items():
                seconds.append(_ready_after(bench))
                bench.tell(f"start-up, round {number + 1}, {name}: {seconds[-1]:.1f} s")
    spreads = {name: Spread.of(seconds) for name, seconds in found.items()}
    rows = [[name, *each.cells()] for name, each in spreads.items()]
    return Outcome(
        "Start-up",
        "From the start of the process until /readyz answers 200, tuned, light model: first with an empty cache, then "
        "with the converted model.",
        [Table(("start", "s", "rounds"), rows)],
        {f"seconds_of_{name}_start": spread for name, spread in spreads.items()},
    )


def _ready_after(bench: Bench) -> float:
    with bench.place() as place:
        began = time.monotonic()
        started = worker(bench.profile)(place, light())
        try:
            started.wait_until_ready()
            return time.monotonic() - began
        finally:
            started.stop()


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Let processes that are started within the block use another cache folder."""
    name = "VISION_WORKER_CACHE"
    before = os.environ.get(name)
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
