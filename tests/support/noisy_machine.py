"""A machine of two cores that tuning can search, with speeds that are known and the noise of a shared machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from worker.settings.offline import Choice
from worker.tuning.agreement import Agreement
from worker.tuning.candidates import Room, thread_splits
from worker.tuning.pairs import Run
from worker.tuning.search import Judged, Stage

SLOW: float = 0.6
"""Speed in a slow spell, as a multiple of the usual speed."""

_MODEL = {"eager": 4.0, "compile": 3.6, "openvino": 1.5, "onnxruntime": 1.65}
"""Milliseconds of one core a frame, fp32."""
_PRECISION = {"fp32": 1.0, "bf16": 0.9, "int8": 0.5}
_PREPARATION = {"exact": 1.5, "uint8": 1.2, "reduced": 1.3}
_BATCH = {8: 0.95, 16: 1.0, 32: 0.99, 64: 0.94}
_LOOP, _BROKER = 0.3, 0.3
_AT_FIRST = {"model.engine": "eager", "model.precision": "fp32", "model.streams": 1, "model.threads": 2}
_RUN_TAKES = {True: 0.2, False: 1.3}
"""Seconds of a run, by whether the model runs alone."""
_STARTS_IN = 4.0
"""Seconds until a new worker is at work."""


def speed_of(choice: Choice, *, model_alone: bool = False) -> float:
    """Return the frames per second of two cores, without noise.

    A model of one stream uses two threads less well than two streams do, and decoders compete with it.
    """
    choice = {**_AT_FIRST, **choice}
    streams: int = choice["model.streams"]
    threads: int = choice["model.threads"]
    model = _MODEL[choice["model.engine"]] * _PRECISION[choice["model.precision"]]
    model *= 1.06 if choice.get("model.memory_format") == "contiguous" else 1.0
    if model_alone:
        return 1000 * threads / model * (1.0 if streams == threads else 0.95)
    rest = _PREPARATION[choice.get("model.preparation", "exact")] + _LOOP + _BROKER
    if threads == 1:
        frame = max(model, rest) + 0.1 * min(model, rest)
    elif streams == 1:
        frame = (1.25 * model + rest) / 2
    else:
        frame = (model + rest) / 2
    decoders = choice.get("limits.decode_threads")
    frame *= {None: 1.0, 1: 0.98, 3: 1.01, 4: 1.03}[decoders] if streams < 2 else 1.0
    return 1000 * _BATCH[choice.get("window.max_frames", 32)] / frame


def best_speed(room: Room) -> float:
    """Return the highest speed of all that can run, on Kafka."""
    return max(speed_of(each) for each in _everything(room) if _why_not(each) is None)


@dataclass(slots=True)
class NoisyMachine:
    """A search's machine whose time passes only while something runs on it.

    It has slow spells of 4 to 60 seconds, between which 5 to 90 seconds pass. Its speed drifts by a tenth within ten
    minutes. Each run varies by some percent, and one in thirty takes far longer.

    Args:
        seed: of what is random.
        jitter: standard deviation of a run, as a share of its speed.
    """

    seed: int
    jitter: float
    now: float = 0.0
    _started: list[Choice] = field(default_factory=list)
    _rng: np.random.Generator = field(init=False)
    _spells: list[tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._spells = list(_spells(np.random.default_rng([self.seed, 1])))

    def judge(self, choice: Choice, *, thorough: bool) -> Judged:  # noqa: ARG002 - it knows
        """Let all agree but int8, which does not run everywhere."""
        self.now += 1.0
        why_not = _why_not(choice)
        return Judged(None if why_not == "cannot run" else Agreement(1.0, 0.0), why_not)

    def run(self, stage: Stage, choice: Choice) -> Run:
        """Run a candidate, more slowly or less so."""
        took = _RUN_TAKES[stage.model_alone]
        if not stage.model_alone and choice not in self._started:
            self._started = [*self._started[-2:], choice]
            self.now += _STARTS_IN
        speed = speed_of(choice, model_alone=stage.model_alone)
        began, self.now = self.now, self.now + took
        slow = sum(max(0.0, min(end, self.now) - max(begin, began)) for begin, end in self._spells) / took
        speed *= (1 - slow + slow * SLOW) * (1 + 0.1 * math.sin(self.now / 100))
        speed *= math.exp(self._rng.normal(0.0, self.jitter))
        if self._rng.random() < 1 / 30:
            speed *= self._rng.uniform(0.2, 0.8)
        return Run(speed, took)


def _spells(rng: np.random.Generator, until: float = 10_000.0) -> Iterator[tuple[float, float]]:
    end = 0.0
    while end < until:
        begin = end + rng.uniform(5, 90)
        end = begin + rng.uniform(4, 60)
        yield begin, end


def _why_not(choice: Choice) -> str | None:
    choice = {**_AT_FIRST, **choice}
    library = choice["model.engine"] in ("openvino", "onnxruntime")
    precision = choice["model.precision"]
    unknown = precision not in _PRECISION or choice.get("model.preparation", "exact") not in _PREPARATION
    if unknown or (precision == "int8") > library or (precision, choice["model.engine"]) == ("bf16", "onnxruntime"):
        return "cannot run"
    return "differs" if precision == "int8" else None


def _everything(room: Room) -> Iterator[Choice]:
    names = [name for name in room.values if name not in ("model.streams", "model.threads")]
    for values in product(*(room.values[name] for name in names)):
        choice = dict(zip(names, values, strict=True))
        yield from thread_splits(room, choice)
