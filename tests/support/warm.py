"""Processes of the command line that start with the large libraries imported: importing them takes seconds each time.

Python's fork server imports them once for all tests. Each process is real, with its own signals, files, environment
and memory, and it imports everything of this project by itself.
"""

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from worker.local.supervisor import GRACE, die_with

LIBRARIES: Final = ("torch", "torchvision.models", "confluent_kafka", "cv2", "pydantic_settings", "rich", "typer")


class WarmProcess:
    """A `vision-worker` command, with the methods of a `GuardedProcess`; it ends with the program that started it.

    Args:
        words: the arguments of the command.
        log: file to which its output is appended.
        environment: additional environment variables.
    """

    def __init__(self, words: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([*LIBRARIES])
        self._process = context.Process(
            target=_run, args=([*words], log, {**os.environ, **(environment or {})}), daemon=True
        )
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL if it does not end in time; return the exit status."""
        self._process.terminate()
        self._process.join(GRACE)
        return self.kill()

    def kill(self) -> int:
        """Send SIGKILL, like a power cut; return the exit status."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


def _run(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Become the command: the rest of this process is what `python -m worker` does."""
    die_with(os.getppid())
    os.setsid()  # Ctrl-C in the terminal reaches the tests alone
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["worker", *words]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
