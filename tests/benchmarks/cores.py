"""CPU time by user, from Linux' counters for each thread (proc_pid_stat(5), proc_stat(5))."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

MODEL: Final = "worker: decoding and model"
LOOP: Final = "worker: loop"
CLIENT: Final = "worker: librdkafka"
BROKER: Final = "broker"
OTHERS: Final = "other processes and the kernel"
IDLE: Final = "idle"

_PROC: Final = Path("/proc")
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_READ_EVERY: Final = 0.25


def cpu_seconds() -> Mapping[str, float]:
    """Return the CPU seconds of workers, brokers and all others on all cores since the machine started."""
    found = dict.fromkeys((MODEL, LOOP, CLIENT, BROKER), 0.0)
    for process in _PROC.glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"kafka.Kafka" in words:
                found[BROKER] += sum(seconds for _, _, seconds in _threads(process))
            elif b"worker" in words and b"run" in words:
                for thread, name, seconds in _threads(process):
                    user = LOOP if thread == process.name else CLIENT if name.startswith("rdk:") else MODEL
                    found[user] += seconds
        except OSError:  # the process has ended meanwhile
            continue
    cores = _cores()
    others = cores.all - cores.idle - sum(found.values())
    return {**found, OTHERS: others, IDLE: cores.idle}


class Cores(NamedTuple):
    """CPU seconds of all cores since the machine started.

    Attributes:
        idle: idle time.
        stolen: time that the hypervisor gave to other machines ("steal").
    """

    all: float
    idle: float
    stolen: float


class Shares(NamedTuple):
    """Shares of a period that were idle and stolen, and the largest stolen share of one interval in it."""

    idle: float
    stolen: float
    stolen_at_worst: float


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


def _threads(process: Path) -> Iterator[tuple[str, str, float]]:
    """Yield id, name and CPU seconds of each thread."""
    for thread in (process / "task").iterdir():
        before, _, after = (thread / "stat").read_text().rpartition(")")
        fields = after.split()
        yield thread.name, before.partition("(")[2], (int(fields[11]) + int(fields[12])) * _TICK
