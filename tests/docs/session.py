"""A reader who types the commands of a page, in one folder, from top to bottom."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Container, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.workers import wait_until

PATIENCE: Final = 120.0
"""Seconds after which a command counts as stuck."""

_LASTS: Final = re.compile(
    r"vision-worker (?:run\b|tail\b(?!.* (?:-n|--count)\b)|produce\b.*--loop forever\b(?!.*--seconds))"
)
"""Commands that a reader ends with Ctrl-C. All others end by themselves."""
_WORKER: Final = re.compile(r"vision-worker (?:run|check)\b")
_STAYS: Final = re.compile(r"vision-worker (?:run|produce)\b")
"""Of those, what a reader leaves running in another terminal; `tail` is ended as soon as it has printed something."""
_BROKER: Final = re.compile(r"\b(?:broker|localhost|127\.0\.0\.1|kafka[\w.-]*):(?:9092|PORT)\b")
_PAGES_OF_WORKER: Final = re.compile(r"\b(localhost|127\.0\.0\.1):9400\b")

# Variables live on from command to command, exported or not; those of bash itself are read-only.
_KEEP: Final = """
cd "$(cat {folder}/cwd)"; source {folder}/state 2>/dev/null
{command}
status=$?; pwd >{folder}/cwd; declare -p | grep -vE '^declare -[a-zA-Z]*[rA]' >{folder}/state; exit $status
"""


@dataclass(slots=True)
class Running:
    """A command that runs until Ctrl-C."""

    command: str
    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        """Return what it has printed so far."""
        return self.output.read_text(errors="replace")

    def interrupt(self) -> None:
        """Press Ctrl-C, and check that it ends as it should."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE)
        finally:
            _kill(self.process)
        _check(self.command, status, self.said(), allowed=(0, 130, -signal.SIGINT))


@dataclass(slots=True)
class Session:
    """Runs commands as a reader does, each with the variables and in the folder that the ones before have left.

    Args:
        folder: where the page is followed.
        state: an empty folder for the session itself.
        environment: variables in addition to those of this process.
        brokers: replaces the address of a broker in a command, such as `broker:9092`.
        port: that the worker serves its pages at; it replaces 9400 in commands.
        worker_is_ready: tells whether the worker serves frames.
    """

    folder: Path
    state: Path
    environment: Mapping[str, str]
    brokers: str
    port: int
    worker_is_ready: Callable[[], bool]
    _running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.state / "cwd").write_text(str(self.folder))
        (self.state / "state").touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        running, self._running = self._running, []
        for each in reversed(running):
            # After a failure too: a worker that is killed stays in its group, in the way of the next page.
            with suppress(AssertionError) if kind else nullcontext():
                each.interrupt()

    def written(self, text: str) -> str:
        """Return a command or a file as the reader writes it: with her own addresses."""
        return _PAGES_OF_WORKER.sub(rf"\1:{self.port}", _BROKER.sub(self.brokers, text))

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command and return what it printed.

        Args:
            command: a command for bash.
            fails: whether it must exit with a status other than 0. If not, it must exit with 0.
        """
        typed = self.written(command.removesuffix("&").rstrip())
        if _LASTS.search(typed):
            return self._run_until_ctrl_c(typed)
        started = self._start(typed)
        try:
            status = started.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{command!r} runs for more than {PATIENCE:.0f} s; it has printed:\n{started.said()}"
            ) from None
        finally:
            _kill(started.process)
        _check(command, status, started.said(), allowed=range(1, 126) if fails else (0,))
        return started.said()

    def _run_until_ctrl_c(self, typed: str) -> str:
        if re.search(r"vision-worker run\b", typed):  # the reader has one worker, and starts it anew
            for each in [each for each in self._running if "vision-worker run" in each.command]:
                self._running.remove(each)
                each.interrupt()
        started = self._start(typed)
        self._running.append(started)
        is_there = self.worker_is_ready if "vision-worker run" in typed else lambda: bool(started.said())
        if "vision-worker produce" in typed:
            began = time.monotonic()  # it prints nothing until it ends
            is_there = lambda: time.monotonic() - began > 3  # noqa: E731
        wait_until(lambda: started.process.poll() is not None or is_there(), f"{typed!r} works", every=0.1)
        assert started.process.poll() is None, f"{typed!r} ended by itself:\n{started.said()}"
        if not _STAYS.search(typed):
            self._running.remove(started)
            started.interrupt()
        return started.said()

    def _start(self, typed: str) -> Running:
        port = {"VISION_WORKER_OPS__PORT": str(self.port)}
        output = self.state / "output"
        output = output.with_suffix(f".{len(list(self.state.glob('output.*')))}")
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["/usr/bin/env", "bash", "-c", _KEEP.format(folder=self.state, command=typed)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, **(port if _WORKER.search(typed) else {})},
                start_new_session=True,
            )
        return Running(typed, process, output)


def _check(command: str, status: int, said: str, *, allowed: Container[int]) -> None:
    assert status in allowed, f"{command!r} exits with {status}:\n{said}"
    assert not re.search(r"^Traceback", said, re.MULTILINE), f"{command!r} prints a traceback:\n{said}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
