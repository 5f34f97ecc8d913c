"""Who uses the cores, from Linux' counters: proc_stat(5) and, for each thread, proc_pid_stat(5) and schedstat."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

MODEL: Final = "decoding and model"
LOOP: Final = "loop"
CLIENT: Final = "librdkafka"
BROKER: Final = "broker"

_PROC: Final = Path("/proc")
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_NANO: Final = 1e-9
_READ_EVERY: Final = 0.25
_PARENT: Final = 1
"""Index of a field of proc_pid_stat(5) behind the name of the thread, as the next ones."""
_FAULTS: Final = 7
_USER: Final = 11
_KERNEL: Final = 12


class Used(NamedTuple):
    """What threads have used since they began; seconds.

    Attributes:
        user: CPU time in programs.
        kernel: CPU time in the kernel for them.
        waited: time in which they could have run, but had no core.
        faults: pages that the kernel mapped when they were first touched.
        slept: how often they gave their core up, to wait for something.
        forced: how often their core was taken away.
    """

    user: float = 0
    kernel: float = 0
    waited: float = 0
    faults: float = 0
    slept: float = 0
    forced: float = 0

    @property
    def ran(self) -> float:
        """CPU time."""
        return self.user + self.kernel

    def plus(self, other: "Used") -> "Used":
        """Return the sum."""
        return Used(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def since(self, before: "Used") -> "Used":
        """Return what was used since an earlier moment."""
        return Used(*(now - then for now, then in zip(self, before, strict=True)))


class Task(NamedTuple):
    """A thread of a contestant or a broker.

    Attributes:
        user: what it is for.
        number: Linux' number of the thread.
    """

    user: str
    number: int


class Cores(NamedTuple):
    """CPU seconds of all cores since the machine started.

    Attributes:
        idle: idle time.
        stolen: time that the hypervisor gave to other machines ("steal").
    """

    all: float
    idle: float
    stolen: float


class Moment(NamedTuple):
    """All counters at one time."""

    cores: Cores
    tasks: Mapping[Task, Used]


class Shares(NamedTuple):
    """Shares of a period that were idle and stolen, and the largest stolen share of one interval in it."""

    idle: float
    stolen: float
    stolen_at_worst: float


def moment() -> Moment:
    """Read the counters of the cores, and those of the contestants and brokers that this process has started."""
    tasks: dict[Task, Used] = {}
    for process in _descendants(os.getpid()):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            for number, name, used in _threads(process):
                if (user := _user(words, name)) is not None:
                    tasks[Task(user, number)] = used
        except OSError:  # the process, or a thread, has ended meanwhile
            continue
    return Moment(_cores(), tasks)


def shares(moments: Sequence[Cores]) -> Shares:
    """Return the shares from the first moment to the last; at least two moments are needed."""
    first, last = moments[0], moments[-1]
    passed = last.all - first.all
    at_worst = max((b.stolen - a.stolen) / (b.all - a.all) for a, b in pairwise(moments) if b.all > a.all)
    return Shares((last.idle - first.idle) / passed, (last.stolen - first.stolen) / passed, at_worst)


@contextmanager
def watched() -> Iterator[list[Cores]]:
    """Read the counters four times per second until the block ends."""
    moments, over = [_cores()], Event()

    def read() -> None:
        while not over.wait(_READ_EVERY):
            moments.append(_cores())

    reader = Thread(target=read)
    reader.start()
    try:
        yield moments
    finally:
        over.set()
        reader.join()


def _cores() -> Cores:
    ticks = [int(each) for each in (_PROC / "stat").read_text().partition("\n")[0].split()[1:9]]
    return Cores(sum(ticks) * _TICK, (ticks[3] + ticks[4]) * _TICK, ticks[7] * _TICK)


def _user(words: Sequence[bytes], thread: str) -> str | None:
    """Return whose thread it is; None if it is none of a contestant or a broker."""
    if b"kafka.Kafka" in words:
        return BROKER
    if (b"worker" in words and b"run" in words) or any(b"contestants" in word for word in words):
        # The worker gives its loop's thread this name, and librdkafka names its own.
        return LOOP if thread == "loop" else CLIENT if thread.startswith("rdk:") else MODEL
    return None


def _descendants(root: int) -> Iterator[Path]:
    children = defaultdict[int, list[int]](list)
    for process in _PROC.glob("[0-9]*"):
        try:
            children[int(_fields(process)[1][_PARENT])].append(int(process.name))
        except OSError:
            continue
    found = list(children[root])
    for each in found:  # which grows meanwhile
        found += children[each]
        yield _PROC / str(each)


def _threads(process: Path) -> Iterator[tuple[int, str, Used]]:
    """Yield number and name of each thread, and what it has used."""
    for thread in (process / "task").iterdir():
        name, fields = _fields(thread)
        _, waited, _ = (thread / "schedstat").read_text().split()
        status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        yield (
            int(thread.name),
            name,
            Used(
                user=int(fields[_USER]) * _TICK,
                kernel=int(fields[_KERNEL]) * _TICK,
                waited=int(waited) * _NANO,
                faults=int(fields[_FAULTS]),
                slept=int(status["voluntary_ctxt_switches"]),
                forced=int(status["nonvoluntary_ctxt_switches"]),
            ),
        )


def _fields(thread: Path) -> tuple[str, Sequence[str]]:
    """Return the name of a thread, and the fields of its `stat` behind it."""
    before, _, after = (thread / "stat").read_text().rpartition(")")
    return before.partition("(")[2], after.split()
