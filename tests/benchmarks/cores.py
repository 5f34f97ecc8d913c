"""Whose the time of the cores is, as Linux counts it by thread (proc_pid_stat(5), proc_stat(5))."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

MODEL: Final = "worker: decoding and model"
LOOP: Final = "worker: loop"
CLIENT: Final = "worker: librdkafka"
BROKER: Final = "broker"
OTHERS: Final = "all others, and the kernel"
IDLE: Final = "nobody"

_PROC: Final = Path("/proc")
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def spent() -> Mapping[str, float]:
    """Return the seconds that workers, brokers and all others have had of all cores since the machine started."""
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
        except OSError:  # it has ended meanwhile
            continue
    ticks = [int(each) for each in (_PROC / "stat").read_text().partition("\n")[0].split()[1:9]]
    idle = (ticks[3] + ticks[4]) * _TICK
    others = sum(ticks) * _TICK - idle - sum(found.values())
    return {**found, OTHERS: others, IDLE: idle}


def _threads(process: Path) -> Iterator[tuple[str, str, float]]:
    """Yield id, name and seconds of each."""
    for thread in (process / "task").iterdir():
        before, _, after = (thread / "stat").read_text().rpartition(")")
        fields = after.split()
        yield thread.name, before.partition("(")[2], (int(fields[11]) + int(fields[12])) * _TICK
