"""What is worth trying, stage by stage: each follows from the best of the stages before it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, get_args

from worker.settings import Limits, ModelGroup, WindowGroup
from worker.tuning.groups import Choice, Groups

BY_TORCH: Final = ("eager", "compile")
"""Engines whose memory format is ours to choose."""
BATCHES: Final = {"cpu": (8, 16, 32, 64), "cuda": (32, 64, 128, 256)}
"""Frames in a batch; with more, a frame waits longer than it saves."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to choose from.

    Attributes:
        values: worth trying, by setting, the default first; a single one where the user has set it.
        cores: that this process may use.
        on_cpu: whether the model runs on them too.
    """

    values: Mapping[str, Sequence[Any]]
    cores: int
    on_cpu: bool

    @classmethod
    def of(cls, groups: Groups, *, cores: int) -> "Room":
        """Find what the user has left open."""
        on_cpu = groups.model.device == "cpu"
        values: dict[str, Sequence[Any]] = {
            f"model.{name}": _first(
                ModelGroup.model_fields[name].default, get_args(ModelGroup.model_fields[name].annotation)
            )
            for name in ("engine", "precision", "memory_format", "preparation")
            if name in ModelGroup.model_fields
        }
        values["model.threads"] = _unique(cores, max(1, cores - 1)) if on_cpu else [None]
        values["model.streams"] = _unique(cores, max(1, cores - 1), *_halves(cores)) if on_cpu else [1]
        values["window.max_frames"] = _first(
            WindowGroup.model_fields["max_frames"].default, BATCHES["cpu" if on_cpu else "cuda"]
        )
        values["limits.decode_threads"] = _unique(
            Limits.model_fields["decode_threads"].default, *filter(None, (cores - 1, cores + 1, 2 * cores))
        )
        explicit = groups.explicit()
        values = {name: [explicit[name]] if name in explicit else each for name, each in values.items()}
        return cls(values, cores, on_cpu)

    def beginning(self) -> Choice:
        """Return where the search begins: the defaults, and on a CPU as many streams as go with most threads."""
        first = {name: each[0] for name, each in self.values.items()}
        return {**first, **next(_shares(self, first), {})}


def by_torch(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield every precision and memory format, by torch as it is: for that, nothing has to be converted."""
    if "eager" in room.values["model.engine"]:
        for each in _all(room, "model.precision", "model.memory_format"):
            yield {**best, "model.engine": "eager", **each}


def by_others(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield the other engines, in every precision.

    Compiling takes a minute, and compiled code calls the same convolutions: it gets what was best for torch as it is.
    """
    for engine in room.values["model.engine"]:
        if engine == "compile":
            yield {**best, "model.engine": engine}
        elif engine not in BY_TORCH:
            usual = {name: room.values[name][0] for name in ("model.memory_format",) if name in room.values}
            for each in _all(room, "model.precision"):
                yield {**best, "model.engine": engine, **usual, **each}


def shares(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield how many streams may share how many threads; on a GPU there is nothing to share."""
    for each in _shares(room, best):
        yield {**best, **each}


def decoders(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield how many threads may decode ahead of the model; where that has a stream a core, they only take turns."""
    if not (room.on_cpu and best["model.streams"] >= room.cores):
        for each in _all(room, "limits.decode_threads"):
            yield {**best, **each}


def every(name: str) -> Callable[[Room, Choice], Iterator[Choice]]:
    """Return what yields every value of one setting that hangs on no other."""
    return lambda room, best: ({**best, **each} for each in _all(room, name))


def _all(room: Room, *names: str) -> Iterator[Choice]:
    """Yield every combination of those of the settings that there are."""
    there = [name for name in names if name in room.values]
    for values in product(*(room.values[name] for name in there)):
        yield dict(zip(there, values, strict=True))


def _shares(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield streams and threads that come out even.

    Code is compiled for so many threads of a stream; another number would be another minute, so there it is one.
    """
    for each in _all(room, "model.threads", "model.streams"):
        a_stream, over = divmod(each["model.threads"] or room.cores, each["model.streams"])
        if a_stream and not over and (a_stream == 1 or best["model.engine"] != "compile"):
            yield each


def _first(default: object, values: Sequence[Any]) -> Sequence[Any]:
    return _unique(default, *values)


def _unique(*values: Any) -> Sequence[Any]:
    return list(dict.fromkeys(values))


def _halves(count: int) -> Iterator[int]:
    while count:
        yield count
        count //= 2
