"""Compare running the model in the main thread, with its own heap, and in a pool: memory and throughput.

    python -m tests.benchmarks.heaps --seconds 1200

Two processes run at the same time, each on one core, with the same real photographs in calls of random size, 1 to 24
frames. One runs the model in the main thread and the loop in another (`worker/app/main_thread.py`). The other
runs the model in a pool and the loop in the main thread. Nothing else differs.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Final

from tests.chaos.memory import growth
from worker import wire
from worker.adapters.memory import Event
from worker.app.main_thread import MainThread
from worker.app.workers import memory_worker
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.local.cameras import moving_photographs
from worker.models.build import load_model
from worker.settings import Limits, ModelGroup, Topics, WindowGroup
from worker.settings.offline import Groups
from worker.stream.worker import Worker

WARM: Final = 60.0
"""Seconds of the warm-up: later memory is compared with its highest value in it."""
MEASURE_EVERY: Final = 5.0
LARGEST: Final = 24
WINDOW_MS: Final = 1_000
PARTITION: Final = TopicPartition("frames", 0)


def main() -> None:
    """Run both, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--run", choices=("main", "pool"), help="run one of the two, in this process")
    parser.add_argument("--core", type=int, help="core to run on; default: all")
    options = parser.parse_args()
    if options.run:
        sys.stdout.write(json.dumps(run(options.run, options.model, options.seconds, options.core)) + "\n")
        return
    command = [sys.executable, "-m", "tests.benchmarks.heaps", "--seconds", str(options.seconds)]
    cores = sorted(os.sched_getaffinity(0))
    both = [
        subprocess.Popen(
            [*command, "--model", options.model, "--run", which, "--core", str(cores[number % len(cores)])]
        )
        for number, which in enumerate(("main", "pool"))
    ]
    sys.exit(max(each.wait() for each in both))


def run(which: str, model: str, seconds: float, core: int | None) -> dict[str, float | str | None]:
    """Run a worker for some time, and return its frames per second and the growth of its memory in MiB."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    group = ModelGroup(name=model, profile="off", threads=1 if core is not None else None)
    loaded = load_model(group)
    inference: MainThread | ThreadPoolExecutor = MainThread(1)
    if which == "pool":
        inference = ThreadPoolExecutor(1, "inference")
    in_each = inference.in_each if isinstance(inference, MainThread) else lambda call: inference.submit(call).result()
    loaded.fill_memory(LARGEST, in_each)
    measured, frames, began = list[tuple[float, float]](), 0, time.monotonic()

    def count(record: OutboundRecord) -> None:
        nonlocal frames
        frames += record.topic == Topics().predictions

    def loop(worker: Worker) -> None:
        worker.join()
        while (now := time.monotonic() - began) < seconds:
            worker.step()
            if not measured or now > measured[-1][0] + MEASURE_EVERY:
                measured.append((now, resident_mebibytes()))

    window = WindowGroup(size_ms=WINDOW_MS, lateness_ms=0, max_frames=LARGEST)
    groups = Groups(model=group, window=window, limits=Limits())
    with memory_worker(polls(), count, inference, loaded=loaded, groups=groups) as worker:
        if isinstance(inference, MainThread):
            inference.serve(lambda: loop(worker))
        else:
            loop(worker)
    grown = growth(*zip(*measured, strict=True), warm=min(WARM, seconds / 4))
    return {
        "model_runs_in": which,
        "seconds": seconds,
        "frames_per_second": round(frames / (time.monotonic() - began), 2),
        "highest_mib": round(grown.highest, 1),
        "beyond_warm_up_mib": round(grown.beyond, 1),
        "grown_steadily_mib": round(grown.steady, 1),
    }


def polls() -> Iterator[Event]:
    """Yield frames without end, a window of 1 to 24 frames per poll; every call yields the same."""
    chance, offset = random.Random(7), 0  # noqa: S311 not used for security
    photographs = cycle(frame.data for frame in list(moving_photographs(100)))
    for window in range(10**9):
        at = EventMillis(window * WINDOW_MS)
        records = []
        for _ in range(chance.randint(1, LARGEST)):
            headers = ((wire.frame.CAMERA_ID, b"one"), (wire.frame.CONTENT_TYPE, b"image/jpeg"))
            records.append(Record(Position(PARTITION, offset), None, next(photographs), headers, at))
            offset += 1
        yield records


def resident_mebibytes() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
