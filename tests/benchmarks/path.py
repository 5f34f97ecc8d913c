"""What the way of a frame costs in Python, counted and not timed: `python -m tests.benchmarks.path`.

A whole worker without threads, on the memory driver, with a model that does next to nothing: cameras send labelled
JPEGs, a window gives one batch that is full and one that is not. Instructions of Python's bytecode are the same on
every run and on every machine, as long as Python is the same; they say where the loop's time goes, as far as it is
spent in Python and not within OpenCV, numpy or msgspec. What runs once and not once a frame cancels out.
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
"""Milliseconds between two frames of a camera: a window of a second holds 40 frames of a partition, or 5/4 batches."""
BATCH: Final = 32
"""Frames in a poll and in a full batch."""
FRAMES: Final = 320
"""Whole windows and whole polls, both of them, so that twice as many frames are twice the work."""
START: Final = 1_700_000_000_000
PICTURE: Final = JPEG(np.full((48, 64, 3), COLOURS["red"], np.uint8))


class Function(NamedTuple):
    """A function of the worker's."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame costs.

    Attributes:
        calls: of functions of the worker's; a generator is called whenever it goes on.
        own: instructions in these functions.
        libraries: instructions in Python code of libraries, called from there.
    """

    calls: float
    own: float
    libraries: float


def cost_by_function() -> Mapping[Function, Cost]:
    """Return what a frame costs in each function, the most instructions first."""
    _flow(FRAMES).run()  # whatever is imported, compiled or remembered on first use
    once, twice = _count(FRAMES), _count(2 * FRAMES)
    costs = {
        function: Cost(*((more - less) / FRAMES for more, less in zip(counted, once[function], strict=True)))
        for function, counted in twice.items()
    }
    return dict(sorted(costs.items(), key=lambda each: each[1].own + each[1].libraries, reverse=True))


def total(costs: Mapping[Function, Cost]) -> Cost:
    """Add up."""
    return Cost(*(sum(getattr(cost, name) for cost in costs.values()) for name in Cost.__slots__))


def as_table(costs: Mapping[Function, Cost], *, rows: int) -> Table:
    """Show the dearest functions, and all of them together."""
    table = Table("module", "function", *(f"{name} a frame" for name in Cost.__slots__))
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
    """Let the cameras take turns; each belongs to one partition."""
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
    """Count calls, own instructions and those of libraries."""
    flow = _flow(frames)
    with _Counting().on() as counting:
        flow.run()
    if len(flow.sink.published) - len(flow.tallies()) != frames:
        raise ValueError("a frame got lost")
    return counting.found()


class _Counting:
    """Python's own tracing, instruction by instruction."""

    def __init__(self) -> None:
        self._names: dict[CodeType, Function] = {}
        self._calls = Counter[CodeType]()
        self._own = defaultdict[CodeType, _Tracer](_Tracer)
        self._libraries = defaultdict[CodeType, _Tracer](_Tracer)

    @contextmanager
    def on(self) -> Iterator["_Counting"]:
        """Count while the body runs, instead of whatever else traces, such as coverage."""
        before = sys.gettrace()
        # What the collector calls is called at any time, or not.
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
        caller = _ours(frame)
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
    """Counts the instructions of the frames it is given to."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> "_Tracer":  # noqa: ARG002 Python's signature
        self.count += event == "opcode"
        return self


def _ours(frame: FrameType | None) -> FrameType | None:
    """Find the worker's function that a frame works for; None if it works for the test."""
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
    if code.co_filename == "<string>":  # generated, by dataclasses
        return f"{type(frame.f_locals[code.co_varnames[0]]).__qualname__}.{code.co_name}"
    return code.co_qualname


def main() -> None:
    """Show where the instructions go."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    Console(width=120).print(as_table(cost_by_function(), rows=25))


if __name__ == "__main__":
    main()
