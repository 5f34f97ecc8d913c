"""How fast is the worker? Both commits in turn, over the same topic of a real Kafka, with the same settings."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.benchmarks.bench import WHOLE, Bench
from tests.benchmarks.frames import USUAL
from tests.benchmarks.measure import alternate, ratio
from tests.benchmarks.models import light
from tests.benchmarks.processes import Contestant, Worker, worker
from tests.benchmarks.profiles import Settings
from tests.compare.checkout import Checkout
from worker.local.broker import LocalKafka

PAIRS: Final = 6

_LEAST_FRAMES: Final = 10_000
"""In the topic. On a machine that others use, the limit that is measured may be far below the rate of a later run."""


def settings(cores: int) -> Settings:
    """Return what `vision-worker tune` finds for the light model on a CPU with nothing else to do, without a search."""
    model = {"engine": "openvino", "preparation": "reduced", "streams": cores, "threads": cores}
    return {"model": model, "window": {"max_frames": 32}}


def compare_speed(before: Checkout, after: Checkout, folder: Path, pairs: int) -> bool:
    """Measure frames a second with the light model in pairs of runs, forwards and backwards in turn.

    Args:
        before: a commit.
        after: another one.
        folder: for logs, settings and pictures.
        pairs: how many.

    Returns:
        True: a change is no fault.

    Raises:
        AssertionError: a worker ended by itself, or made no progress; with its log.
    """
    with LocalKafka() as kafka:
        bench = Bench(kafka.bootstrap_servers, folder, quick=True)
        bench.effort, bench.profile = WHOLE, settings(bench.cores)
        bench.fill_for(light(), USUAL)
        bench.fill(USUAL, _LEAST_FRAMES)
        runs = {checkout.role: _Timed(bench, checkout) for checkout in (before, after)}
        for name, run in runs.items():  # what the engine converts on first use is in its cache from here on
            bench.tell(f"warm-up, {name}: {run():.1f} frames/s")
            run.cpu.clear()
        rates = alternate(
            runs, pairs, lambda number, name, rate: bench.tell(f"pair {number}, {name}: {rate:.1f} frames/s")
        )
    old, new = (runs[checkout.role].cpu for checkout in (before, after))
    bench.tell("\n".join(summary("frames/s", rates[before.role], rates[after.role])))
    bench.tell("\n".join(summary("ms of CPU a frame", old, new)))
    return True


def summary(unit: str, before: Sequence[float], after: Sequence[float]) -> list[str]:
    """Show both figures of each pair and their ratio, and the median of the ratios with the least and the greatest."""
    rows = [
        f"pair {number}: {old:.4g} before, {new:.4g} after, ratio {new / old:.3f}"
        for number, (old, new) in enumerate(zip(before, after, strict=True), 1)
    ]
    median, ends = ratio(after, before).cells(3)
    return [f"{unit}:", *(f"  {row}" for row in rows), f"  median ratio {median} ({ends})"]


class _Timed:
    """The worker of one commit, started anew for each run.

    Attributes:
        cpu: milliseconds of processor time that a frame took, run by run. Unlike the rate, it hardly depends on what
            else runs on the machine.
    """

    def __init__(self, bench: Bench, checkout: Checkout) -> None:
        self.cpu: list[float] = []
        self._bench = bench
        self._start = worker(bench.profile, checkout.environment)

    def __call__(self) -> float:
        """Run once, and return the frames a second."""
        cores = list[float]()
        rate = self._bench.measure(light(), USUAL, self._start, during=partial(_watched, cores))
        self.cpu.append(cores[0] / rate * 1000)
        return rate


@contextmanager
def _watched(cores: list[float], contestants: Sequence[Contestant]) -> Iterator[None]:
    """Append how many cores a worker keeps busy within the block."""
    (measured,) = contestants
    assert isinstance(measured, Worker)
    began, before = time.monotonic(), measured.cpu_seconds
    yield
    cores.append((measured.cpu_seconds - before) / (time.monotonic() - began))
