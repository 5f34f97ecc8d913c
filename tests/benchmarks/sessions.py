"""A contestant with all processes that it has started: what they cost, and how to end them.

Engines start other processes, and some of these leave their parent or its process group. None leaves the session that
`GuardedProcess` has opened for the contestant, so the session is what is counted and ended (setsid(2)).
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(session: int) -> float:
    """Return the CPU seconds of a session's living processes, and of the children that they have waited for."""
    return sum(sum(map(int, _stat(process)[11:15])) for process in _processes(session)) * _TICK


def memory(session: int) -> int:
    """Return the bytes of a session: what processes share is counted once in all (PSS, proc_pid_smaps(5))."""
    return sum(_proportional(process) for process in _processes(session))


def end(session: int) -> None:
    """Kill all processes of a session, including those that start meanwhile."""
    while left := list(_processes(session)):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        time.sleep(0.01)


def _processes(session: int) -> Iterator[Path]:
    """Yield the processes that have not ended."""
    for process in _PROC.glob("[0-9]*"):
        stat = _stat(process)
        if stat[3:4] == [str(session)] and stat[0] != "Z":
            yield process


def _stat(process: Path) -> list[str]:
    """Return the fields from the state on (proc_pid_stat(5)); none if the process has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _proportional(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
