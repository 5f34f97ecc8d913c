"""Which bare loop is the fastest on this machine: `python -m tests.benchmarks.limit`.

The worker is compared with the best loop, not with one whose settings happen to be slow. The candidates are all engines
and memory layouts, with a stream for each core or one stream of all cores, and with calls of two sizes. Precision and
preparation are given: they change answers. All candidates run in this process and take turns; after the first round
only the best ones go on. The last line is JSON for programs.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final, NamedTuple, Self

import torch

from tests.benchmarks.contestants.bare import Frames, samples_a_call, work
from tests.benchmarks.frames import USUAL, write_pictures
from tests.benchmarks.models import light
from worker.domain.errors import WorkerError
from worker.media.images import limit_opencv_threads
from worker.models.build import load_model, settle_threads
from worker.models.container import cores
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.ports import Decode
from worker.settings import Limits, ModelGroup

ENGINES: Final = ("eager", "compile", "openvino", "onnxruntime")
PARTS: Final = (1, 2)
GIVEN: Final = ("precision", "preparation")
"""Settings of the model that change answers."""
ROUNDS: Final = 4
FINALISTS: Final = 4
SECONDS: Final = 0.4
"""Of a turn, at least."""


@dataclass(frozen=True, slots=True)
class BareLoop:
    """The settings of a bare loop.

    Attributes:
        engine: settings of the group model.
        parts: parts of the worker's size in a call of the model.
    """

    engine: Mapping[str, Any] = field(hash=False)  # a dictionary has no hash
    parts: int = 1

    @classmethod
    def on(cls, engine: Mapping[str, Any], *, cores: int) -> Self:
        """Return a loop with the settings of an engine, but a stream of one thread for each core."""
        return cls({**engine, "streams": cores, "threads": cores})

    def __str__(self) -> str:
        told = ModelGroup(name="any", **self.engine)
        layout = f", {told.memory_format}" if told.engine in ("eager", "compile") else ""
        return (
            f"{told.engine}{layout}, {told.precision}, {told.preparation}, streams {told.streams}, "
            f"threads {told.threads}, parts in a call {self.parts}"
        )


class _Ready(NamedTuple):
    group: ModelGroup
    model: LoadedModel
    decode: Decode
    samples: int


def find_limit(
    model: Path, pictures: Path, given: Mapping[str, Any], engines: Sequence[str] = ENGINES
) -> Mapping[BareLoop, float]:
    """Return the loops and their frames per second, the fastest first; measured in a process of its own.

    Args:
        model: a folder with a manifest.
        pictures: a folder of JPEGs.
        given: settings of the group model; of these, those in `GIVEN` apply.
        engines: those that can run this model.
    """
    told = json.dumps({name: given[name] for name in GIVEN if name in given})
    options = ["--model", str(model), "--frames", str(pictures), "--given", told]
    options += [part for engine in engines for part in ("--engine", engine)]
    ran = subprocess.run([sys.executable, "-m", __name__, *options], check=True, stdout=subprocess.PIPE, text=True)
    rows = json.loads(ran.stdout.splitlines()[-1])
    return {BareLoop(row["engine"], row["parts"]): row["rate"] for row in rows}


def candidates(engines: Sequence[str], given: Mapping[str, Any], *, cores: int) -> Iterator[Mapping[str, Any]]:
    """Yield the engines' settings to try; compiled code is specific to its threads, and takes a minute for each."""
    for engine, streams in product(engines, dict.fromkeys((cores, 1))):
        if engine == "compile" and streams < cores:
            continue
        layouts = ("channels_last", "contiguous") if engine in ("eager", "compile") else ("channels_last",)
        for layout in layouts:
            yield {**given, "engine": engine, "memory_format": layout, "streams": streams, "threads": cores}


def measure(ready: Mapping[BareLoop, _Ready], frames: Frames) -> Mapping[BareLoop, float]:
    """Let the loops take turns; return the rates of the finalists, the fastest first."""
    rates: dict[BareLoop, list[float]] = {loop: [] for loop in ready}
    turn = list(ready)
    for number in range(ROUNDS):
        for loop in turn[:: 1 if number % 2 else -1]:
            rates[loop].append(_rate(ready[loop], frames))
        if number == 0:
            turn = sorted(turn, key=lambda each: -rates[each][0])[:FINALISTS]
    found = {loop: median(rates[loop]) for loop in turn}
    return dict(sorted(found.items(), key=lambda each: -each[1]))


class EqualCalls:
    """Decides when loops that share the cores stop: after the same number of calls.

    A loop that stopped earlier would leave its share of the cores to the others. Two loops with one stream and a slow
    call each would seem 1.5 times as fast as they are.

    Attributes:
        made: the number of calls that each loop has made.
    """

    def __init__(self, loops: int) -> None:
        self.made = [0] * loops
        self._last: int | None = None
        self._lock = Lock()

    def go_on(self, loop: int, *, late: bool) -> bool:
        """Count a call, and tell whether the loop makes another.

        Args:
            loop: the loop that made the call.
            late: whether the turn has lasted long enough; the loop that made the most calls until then is the measure.
        """
        with self._lock:
            self.made[loop] += 1
            if late and self._last is None:
                self._last = max(self.made)
            return self._last is None or self.made[loop] < self._last


def _rate(ready: _Ready, frames: Frames) -> float:
    """Return the frames, or clips, per second of all loops together."""
    settle_threads(ready.group, usual=torch.get_num_threads())
    calls, began = EqualCalls(cores()), time.perf_counter()

    def run(loop: int) -> None:
        def go_on(_: int) -> bool:
            return calls.go_on(loop, late=time.perf_counter() - began >= SECONDS)

        work(frames, ready.decode, ready.model, ready.samples, go_on)

    with ThreadPoolExecutor(cores()) as threads:
        list(threads.map(run, range(cores())))  # raises what a loop raised
    return sum(calls.made) * ready.samples / (time.perf_counter() - began)


def _load(model: Path, engine: Mapping[str, Any]) -> Iterator[tuple[BareLoop, _Ready]]:
    group = ModelGroup(path=model, **engine)
    try:
        loaded = load_model(group)
        decode = frame_decoder(loaded.preprocessing, group, Limits())
    except WorkerError as error:
        sys.stderr.write(f"left out: {BareLoop(engine)}: {str(error).splitlines()[0]}\n")
        return
    for parts in PARTS:
        samples = samples_a_call(loaded, parts=parts)
        loaded.warm_up(samples)
        yield BareLoop(engine, parts), _Ready(group, loaded, decode, samples)


def main() -> None:
    """Print the finalists."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument(
        "--model", type=Path, help="a folder with a manifest; default: the light model of the benchmark"
    )
    parser.add_argument("--frames", type=Path, help="a folder of JPEGs; default: those of the benchmark")
    parser.add_argument("--given", type=json.loads, default={}, help="precision and preparation, as JSON")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeat for more; default: all")
    options = parser.parse_args()
    limit_opencv_threads(1)
    with TemporaryDirectory() as scratch:
        frames = Frames(options.frames or write_pictures(USUAL, Path(scratch)))
    model = options.model or light().folder
    engines = candidates(options.engine or ENGINES, options.given, cores=cores())
    ready = dict(pair for engine in engines for pair in _load(model, engine))
    found = measure(ready, frames)
    sys.stdout.writelines(f"{rate:8.2f}/s  {loop}\n" for loop, rate in found.items())
    sys.stdout.write(json.dumps([{**asdict(loop), "rate": rate} for loop, rate in found.items()]) + "\n")


if __name__ == "__main__":
    main()
