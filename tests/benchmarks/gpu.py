"""What a worker does on a GPU, with a real Kafka: `python -m tests.benchmarks.gpu`.

ResNet-50 with drawn weights, frames of 640x480 from a backlog, frames a second by the predictions' timestamps. Every
setting is measured in every round, forwards and backwards.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import USUAL
from tests.benchmarks.measure import Spread, alternate
from tests.benchmarks.models import heavy
from tests.benchmarks.processes import worker
from worker.local.broker import LocalKafka

Settings = Mapping[str, Mapping[str, Any]]
CORES: Final = len(os.sched_getaffinity(0))


def ways(device: str) -> Mapping[str, tuple[Settings, ...]]:
    """Return the settings of the workers of each contestant; several workers share the GPU."""

    def on(**model: object) -> Settings:
        return {"model": {"device": device, **model}, "window": {"max_frames": 128}}

    half = {"limits": {"decode_threads": CORES // 2}}
    return {
        "the CPU alone, a stream a core": ({"model": {"streams": CORES}},),
        "fp32, JPEG by the CPU": (on(),),
        "fp16, JPEG by the CPU": (on(precision="fp16"),),
        "fp16, JPEG by the CPU, reduced": (on(precision="fp16", preparation="reduced"),),
        "fp16, JPEG by the GPU": (on(precision="fp16", preparation="nvjpeg"),),
        "two workers, fp16, JPEG by the CPU": ({**on(precision="fp16"), **half},) * 2,
    }


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cpu only shows that this runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=30_000, help="of the backlog")
    arguments = parser.parse_args()
    console = Console(width=120)
    model = heavy()
    with tempfile.TemporaryDirectory() as scratch, LocalKafka() as kafka:
        bench = Bench(kafka.bootstrap_servers, Path(scratch), quick=True)
        bench.fill(USUAL, arguments.frames)
        contestants = {
            name: lambda each=each: bench.measure(model, USUAL, *map(worker, each))
            for name, each in ways(arguments.device).items()
        }
        rates = alternate(
            contestants,
            arguments.rounds,
            lambda number, name, rate: console.print(f"round {number}: {name}: {rate:.0f} frames/s"),
        )
    name = torch.cuda.get_device_name(arguments.device) if arguments.device != "cpu" else "CPU"
    table = Table("settings", "frames/s", "rounds", title=f"ResNet-50, 640x480, {name}, {CORES} cores")
    for way, found in rates.items():
        table.add_row(way, *Spread.of(found).cells(0))
    console.print(table)


if __name__ == "__main__":
    main()
