"""Measure each engine's pictures per second on this machine: `python -m tests.benchmarks.engines [MODEL ...]`.

Rounds alternate between all candidates, so that other load on the machine affects all of them alike. CPU time varies
less than wall-clock time.
"""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from tests.support.models import drawn_model, open_model
from worker.models.loaded import LoadedModel

MODELS: Final = ("mobilenet_v3_small", "mobilenet_v2", "resnet50")
ENGINES: Final = ("eager", "compile", "openvino", "onnxruntime")
SHARES: Final = ((1, 1), (2, 1), (2, 2))
"""Total number of threads, and number of streams."""
BATCHES: Final = (1, 8, 32)
ROUNDS: Final = 5
SECONDS: Final = 0.4


def measure(model: LoadedModel, batch: int) -> tuple[float, float]:
    """Return pictures per second and CPU milliseconds per picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, *model.input_shape), np.uint8)
    with ThreadPoolExecutor(model.streams) as threads:
        model.run_by(threads, pixels)
        count, began, used = 0, time.perf_counter(), time.process_time()
        while count == 0 or time.perf_counter() - began < SECONDS:
            model.run_by(threads, pixels)
            count += batch
        return count / (time.perf_counter() - began), (time.process_time() - used) / count * 1000


def compare(architecture: str, console: Console) -> None:
    """Measure every engine on one architecture with random weights: speed does not depend on them."""
    with tempfile.TemporaryDirectory() as folder:
        written = drawn_model(Path(folder), architecture)
        began = time.perf_counter()
        models = {
            (engine, threads, streams): open_model(written, engine=engine, threads=threads, streams=streams)
            for engine in ENGINES
            for threads, streams in SHARES
        }
    console.print(f"{architecture}: ready after {time.perf_counter() - began:.0f} s")
    found: defaultdict[tuple[str, int, int, int], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for (engine, threads, streams), model in models.items():
            torch.set_num_threads(
                threads // streams
            )  # this setting is global, and the last loaded model has changed it
            for batch in BATCHES:
                found[engine, threads, streams, batch].append(measure(model, batch))
    table = Table("engine", "threads", "streams", *(f"batch {batch}: /s (ms CPU)" for batch in BATCHES))
    for engine, threads, streams in models:
        cells = []
        for batch in BATCHES:
            rates, costs = zip(*found[engine, threads, streams, batch], strict=True)
            cells.append(f"{statistics.median(rates):.0f} ({statistics.median(costs):.2f})")
        table.add_row(engine, str(threads), str(streams), *cells)
    console.print(table)


def main() -> None:
    """Measure the models on the command line, or all."""
    console = Console(width=120)
    for architecture in sys.argv[1:] or MODELS:
        compare(architecture, console)


if __name__ == "__main__":
    main()
