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
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Final

from worker.local.supervisor import GRACE, die_with

LIBRARIES: Final = ("torch", "torchvision.models", "confluent_kafka", "cv2", "pydantic_settings", "rich", "typer")


class WarmProcess:
    """A `vision-worker` command, with the methods of a `GuardedProcess`; it ends with the program that started it.

    Args:
        words: the arguments of the command.
        log: file to which its output is appended.
        errors: file to which its standard error is appended; None for the same.
        environment: additional environment variables; None takes one away.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        log: Path,
        errors: Path | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> None:
        variables = {**os.environ, **(environment or {})}
        kept = {name: value for name, value in variables.items() if value is not None}
        files = (log, errors or log)
        for file in files:
            file.touch()  # a reader need not wait until the command has begun
        context = get_context("forkserver")
        context.set_forkserver_preload([*LIBRARIES])
        self._process = context.Process(target=_run, args=(words, files, kept), daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def wait(self) -> int:
        """Wait until it ends by itself; return the exit status."""
        self._process.join()
        return self._process.exitcode or 0

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL if it does not end in time; return the exit status."""
        self._process.terminate()
        self._process.join(GRACE)
        return self.kill()

    def kill(self) -> int:
        """Send SIGKILL, like a power cut; return the exit status."""
        self._process.kill()
        return self.wait()


def run_warm(*words: str | Path, environment: Mapping[str, str | None] | None = None) -> "CompletedProcess[str]":
    """Run a command to its end, with additional environment variables."""
    told = [str(word) for word in words]
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        status = WarmProcess(told, log=output, errors=errors, environment=environment).wait()
        return CompletedProcess(told, status, output.read_text(), errors.read_text())


def _run(words: Sequence[str], files: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Become the command: the rest of this process is what `python -m worker` does."""
    die_with(os.getppid())
    os.setsid()  # Ctrl-C in the terminal reaches the tests alone
    for standard, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), standard)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["worker", *words]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
