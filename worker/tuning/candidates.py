"""The candidates of each stage of the search, derived from the best candidate of the stages before it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, get_args

from worker.settings import Limits, ModelGroup
from worker.settings.offline import Choice, Groups
from worker.settings.window import USUAL_FRAMES

TORCH_ENGINES: Final = ("eager", "compile")
"""Engines for which tuning chooses the memory format."""
BATCHES: Final = {"cpu": (8, 16, 32, 64), "cuda": (32, 64, 128, 256)}
"""Batch sizes to try; in a larger batch, a frame waits longer than it saves."""

_SIMPLE_FIRST: Final = ("model.precision", "model.preparation", "model.engine")
"""What a user notices first: answers that change, and another library."""


@dataclass(frozen=True, slots=True)
class Room:
    """The search space.

    Attributes:
        values: values to try, by setting, the default first; only the user's value if the user has set it.
        cores: number of cores that this process may use.
        on_cpu: whether the model runs on these cores too.
    """

    values: Mapping[str, Sequence[Any]]
    cores: int
    on_cpu: bool

    @classmethod
    def of(cls, groups: Groups, *, cores: int) -> "Room":
        """Return the search space: all settings that the user has not set."""
        on_cpu = groups.model.device == "cpu"
        values: dict[str, Sequence[Any]] = {
            f"model.{name}": _default_first(
                ModelGroup.model_fields[name].default, get_args(ModelGroup.model_fields[name].annotation)
            )
            for name in ("engine", "precision", "memory_format", "preparation")
            if name in ModelGroup.model_fields
        }
        values["model.threads"] = _unique(cores, max(1, cores - 1)) if on_cpu else [None]
        values["model.streams"] = _unique(cores, max(1, cores - 1), *_halves(cores)) if on_cpu else [1]
        values["window.max_frames"] = _default_first(USUAL_FRAMES, BATCHES["cpu" if on_cpu else "cuda"])
        values["limits.decode_threads"] = _unique(
            Limits.model_fields["decode_threads"].default, *filter(None, (cores - 1, cores // 2))
        )
        explicit = groups.explicit()
        values = {name: [explicit[name]] if name in explicit else each for name, each in values.items()}
        return cls(values, cores, on_cpu)

    def initial(self) -> Choice:
        """Return the first candidate: the defaults, and on a CPU the first even split of threads into streams."""
        first = {name: each[0] for name, each in self.values.items()}
        return {**first, **next(_even_splits(self, first), {})}


def torch_candidates(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield every precision and memory format with uncompiled torch, which needs no conversion."""
    if "eager" in room.values["model.engine"]:
        for each in _combinations(room, "model.precision", "model.memory_format"):
            yield {**best, "model.engine": "eager", **each}


def other_engines(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield the other engines, in every precision.

    Compiling takes a minute, and compiled code calls the same convolutions as uncompiled torch: so `compile` is tried
    only with the settings that were best for uncompiled torch.
    """
    for engine in room.values["model.engine"]:
        if engine == "compile":
            yield {**best, "model.engine": engine}
        elif engine not in TORCH_ENGINES:
            defaults = {name: room.values[name][0] for name in ("model.memory_format",) if name in room.values}
            for each in _combinations(room, "model.precision"):
                yield {**best, "model.engine": engine, **defaults, **each}


def thread_splits(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield the numbers of streams and threads to try; on a GPU there is only one."""
    for each in _even_splits(room, best):
        yield {**best, **each}


def decoder_counts(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield the numbers of decoding threads to try; none with a stream per core, where decoders would only compete."""
    if not (room.on_cpu and best["model.streams"] >= room.cores):
        for each in _combinations(room, "limits.decode_threads"):
            yield {**best, **each}


def values_of(name: str) -> Callable[[Room, Choice], Iterator[Choice]]:
    """Return a function that yields every value of one setting, which depends on no other."""
    return lambda room, best: ({**best, **each} for each in _combinations(room, name))


def complexity(room: Room, choice: Choice) -> tuple[int, ...]:
    """Return a key by which what is simpler comes first.

    The simplest is no profile. Then come exact answers, then torch, then values close to the first that is tried: it is
    the default where the default can be tried.
    """
    names = dict.fromkeys([*_SIMPLE_FIRST, *room.values])
    return tuple(1 + room.values[name].index(choice[name]) if name in choice else 0 for name in names)


def _combinations(room: Room, *names: str) -> Iterator[Choice]:
    """Yield every combination of the named settings, as far as they exist."""
    known = [name for name in names if name in room.values]
    for values in product(*(room.values[name] for name in known)):
        yield dict(zip(known, values, strict=True))


def _even_splits(room: Room, best: Choice) -> Iterator[Choice]:
    """Yield numbers of streams and threads such that every stream has the same number of threads.

    Compiled code is specific to the number of threads per stream, and each number takes another minute to compile. So
    `compile` is tried with one thread per stream only.
    """
    for each in _combinations(room, "model.threads", "model.streams"):
        threads_per_stream, remainder = divmod(each["model.threads"] or room.cores, each["model.streams"])
        if threads_per_stream and not remainder and (threads_per_stream == 1 or best["model.engine"] != "compile"):
            yield each


def _default_first(default: object, values: Sequence[Any]) -> Sequence[Any]:
    return _unique(default, *values)


def _unique(*values: Any) -> Sequence[Any]:
    """Return each value once; `auto` is no candidate."""
    return [each for each in dict.fromkeys(values) if each != "auto"]


def _halves(count: int) -> Iterator[int]:
    while count:
        yield count
        count //= 2
