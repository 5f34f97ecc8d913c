"""Does the number of cameras matter to one worker? Frames per second, memory, and the time to read accuracy back.

    python -m tests.benchmarks.cameras --cameras 8 --cameras 5000 --frames 10000

A real worker with a model that does almost nothing reads small labelled pictures of a real Kafka. Then it is started
again, and reads back the accuracy of all cameras. All is on this machine, the broker too.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.models import null
from tests.support.cameras import pictures
from tests.support.workers import Stage, WorkerProcess, stage, wait_until
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.local.broker import LocalKafka
from worker.local.samples import PHOTOGRAPHS

PARTITIONS: Final = 4
_SECONDS: Final = "stage_seconds_sum"
_RESTORE: Final = ("restore",)
HEADINGS: Final = ("cameras", "frames/s", "memory, MB", "accuracy's records", "of predictions", "read back in, s")


def main() -> None:
    """Measure each number of cameras, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cameras", type=int, action="append", help="repeat for more; default: 8 and 5000")
    parser.add_argument("--frames", type=int, default=10_000)
    options = parser.parse_args()
    table = Table(*HEADINGS, box=None)
    with LocalKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        for cameras in options.cameras or (8, 5_000):
            with stage(kafka.bootstrap_servers, partitions=PARTITIONS) as on:
                on.send(_frames(on, cameras, options.frames))
                table.add_row(f"{cameras:,}", *_measure(on, Path(folder), options.frames))
    Console().print(table)


def _measure(on: Stage, folder: Path, frames: int) -> Iterator[str]:
    settings = on.settings(
        model={"path": str(null().folder)}, window={"max_frames": 64}, limits={"max_cameras": 100_000}
    )
    with WorkerProcess(settings, folder) as worker:
        worker.wait_until_ready()
        began = time.monotonic()
        ends = on.ends()
        while on.committed() != ends:  # however long that takes
            time.sleep(0.05)
        yield f"{frames / (time.monotonic() - began):,.0f}"
        yield f"{worker.metrics('process_resident_memory_bytes')[()] / 1e6:,.0f}"
        worker.stop()
    yield f"{len(on.read(on.accuracy)):,}"
    yield f"{len(on.read(on.predictions)):,}"
    with WorkerProcess(settings, folder) as again:
        again.wait_until_ready()
        wait_until(lambda: _RESTORE in again.metrics(_SECONDS), "accuracy is read back")
        yield f"{again.metrics(_SECONDS)[_RESTORE]:.2f}"
        again.stop()


def _frames(on: Stage, cameras: int, frames: int) -> Iterator[OutboundRecord]:
    shots = cycle(pictures(0))
    for number in range(frames):
        camera = f"camera-{number % cameras:05}"
        frame = CapturedFrame(camera, next(shots), wall_clock(), "image/jpeg", label=PHOTOGRAPHS[0].label)
        sent = wire.render_frame(on.frames, frame)
        yield OutboundRecord(on.frames, number % cameras % PARTITIONS, sent.key, sent.value, sent.headers)


if __name__ == "__main__":
    main()
