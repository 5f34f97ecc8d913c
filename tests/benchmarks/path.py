"""Count the Python instructions that a frame costs, instead of timing them: `python -m tests.benchmarks.path`.

A whole worker runs without threads on the in-memory adapters, with a model that does almost nothing. Cameras send
labelled JPEGs, and each window gives one full batch and one that is not full. The number of bytecode instructions is
the same on every run and on every machine with the same Python. It shows where the loop spends time in Python, but not
inside OpenCV, numpy or msgspec. Work that is done once, and not once per frame, cancels out.
"""

import gc
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from tests.support.colours import COLOURS
from tests.support.flow import Flow
from tests.support.frames import a_record
from tests.support.pictures import JPEG
from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.records import Record
from worker.domain.times import EventMillis

PARTITIONS: Final = 2
CAMERAS: Final = 8
INTERVAL: Final = 100
"""Milliseconds between two frames of a camera: a window of one second has 40 frames per partition, or 5/4 batches."""
BATCH: Final = 32
"""Frames in a poll and in a full batch."""
FRAMES: Final = 320
"""A whole number of windows and of polls, so that twice the frames are twice the work."""
START: Final = 1_700_000_000_000
PICTURE: Final = JPEG(np.full((48, 64, 3), COLOURS["red"], np.uint8))


class Function(NamedTuple):
    """A function of the worker."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a frame.

    Attributes:
        calls: calls of the worker's functions; each resumption of a generator counts.
        own: instructions in these functions.
        libraries: instructions in libraries' Python code that these functions call.
    """

    calls: float
    own: float
    libraries: float


def cost_by_function() -> Mapping[Function, Cost]:
    """Return the cost of a frame in each function, the most expensive first."""
    _flow(FRAMES).run()  # so that imports, compilation and caches are done
    once, twice = _count(FRAMES), _count(2 * FRAMES)
    costs = {
        function: Cost(*((after - before) / FRAMES for after, before in zip(counted, once[function], strict=True)))
        for function, counted in twice.items()
    }
    return dict(sorted(costs.items(), key=lambda each: each[1].own + each[1].libraries, reverse=True))


def total(costs: Mapping[Function, Cost]) -> Cost:
    """Return the sum of all costs."""
    return Cost(*(sum(getattr(cost, name) for cost in costs.values()) for name in Cost.__slots__))


def as_table(costs: Mapping[Function, Cost], *, rows: int) -> Table:
    """Return a table of the most expensive functions and the total."""
    table = Table("module", "function", *(f"{name} per frame" for name in Cost.__slots__))
    for column in table.columns[2:]:
        column.justify = "right"
    shown = dict(list(costs.items())[:rows])
    lines = {
        **shown,
        Function("", f"the other {len(costs) - len(shown)}"): total({**costs, **dict.fromkeys(shown, Cost(0, 0, 0))}),
    }
    lines[Function("", "all")] = total(costs)
    for function, cost in lines.items():
        table.add_row(*function, *(f"{getattr(cost, name):.2f}" for name in Cost.__slots__))
    return table


def _records(frames: int) -> Iterator[Record]:
    """Yield the records of cameras that take turns; each camera has one partition."""
    for number in range(frames):
        camera, at = number % CAMERAS, EventMillis(START + number // CAMERAS * INTERVAL)
        captured = CapturedFrame(f"camera-{camera}", PICTURE, at, "image/jpeg", f"{camera}-{number}", "red")
        sent = wire.render_frame("frames", captured)
        yield a_record(
            number // PARTITIONS,
            partition=camera % PARTITIONS,
            value=sent.value,
            key=sent.key,
            headers=sent.headers,
            timestamp=at,
        )


def _flow(frames: int) -> Flow:
    records = list(_records(frames))
    polls = [records[first : first + BATCH] for first in range(0, frames, BATCH)]
    return Flow(polls, max_frames=BATCH, linger=float("inf"))


def _count(frames: int) -> Mapping[Function, tuple[int, int, int]]:
    """Return calls, own instructions and instructions of libraries."""
    flow = _flow(frames)
    with _Counting().on() as counting:
        flow.run()
    if len(flow.sink.published) - len(flow.tallies()) != frames:
        raise ValueError("a frame was lost")
    return counting.found()


class _Counting:
    """Counts instructions with Python's own tracing."""

    def __init__(self) -> None:
        self._names: dict[CodeType, Function] = {}
        self._calls = Counter[CodeType]()
        self._own = defaultdict[CodeType, _Tracer](_Tracer)
        self._libraries = defaultdict[CodeType, _Tracer](_Tracer)

    @contextmanager
    def on(self) -> Iterator["_Counting"]:
        """Count while the block runs; this replaces other tracing, such as coverage."""
        before = sys.gettrace()
        # The garbage collector runs at unpredictable times, and calls functions.
        collecting = gc.isenabled()
        gc.disable()
        sys.settrace(self._enter)
        try:
            yield self
        finally:
            sys.settrace(before)
            if collecting:
                gc.enable()

    def found(self) -> Mapping[Function, tuple[int, int, int]]:
        """Return the counts."""
        counts = defaultdict[Function, tuple[int, int, int]](lambda: (0, 0, 0))
        for code, function in self._names.items():
            counts[function] = (self._calls[code], self._own[code].count, self._libraries[code].count)
        return counts

    def _enter(self, frame: FrameType, event: str, arg: object) -> "_Tracer | None":  # noqa: ARG002 Python's signature
        caller = _worker_frame(frame)
        if caller is None:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        code = caller.f_code
        if caller is not frame:
            return self._libraries[code]
        if code not in self._names:
            self._names[code] = Function(frame.f_globals["__name__"], _name(frame))
        self._calls[code] += 1
        return self._own[code]


class _Tracer:
    """Counts the instructions of the frames that it traces."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> "_Tracer":  # noqa: ARG002 Python's signature
        self.count += event == "opcode"
        return self


def _worker_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost calling function of the worker; None if the test calls first."""
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package == "worker":
            return frame
        if package == "tests":
            return None
        frame = frame.f_back
    return None


def _name(frame: FrameType) -> str:
    code = frame.f_code
    if code.co_filename == "<string>":  # generated by dataclasses
        return f"{type(frame.f_locals[code.co_varnames[0]]).__qualname__}.{code.co_name}"
    return code.co_qualname


def main() -> None:
    """Print the most expensive functions."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    Console(width=120).print(as_table(cost_by_function(), rows=25))


if __name__ == "__main__":
    main()
