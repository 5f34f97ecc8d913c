"""A process that ends with the program that started it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.local import supervisor


class GuardedProcess:
    """Commands that a supervisor runs one after the other, and ends when this program ends for any reason.

    Args:
        commands: the commands; each starts when the previous one has succeeded.
        log: file to which their output is appended.
        scratch: a folder to delete if this program dies without stopping them.
        environment: additional environment variables; None takes one away.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        log: Path,
        scratch: Path | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> None:
        keep = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(scratch or "")]
        log.parent.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, **(environment or {})}
        with log.open("ab") as file:
            # In a new session: Ctrl-C in the terminal reaches only this program, which then stops its processes
            # cleanly.
            self._process = subprocess.Popen(
                [*keep, json.dumps([list(command) for command in commands])],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in variables.items() if value is not None},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the supervisor; the command is its child."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the commands still run."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL if it does not end in time; return the exit status."""
        return self._end(supervisor.STOP)

    def kill(self) -> int:
        """Send SIGKILL, like a power cut; return the exit status."""
        return self._end(supervisor.KILL)

    def pause(self) -> None:
        """Pause the command; `stop` and `kill` also end a paused command."""
        self._say(supervisor.PAUSE)

    def resume(self) -> None:
        """Let the command go on."""
        self._say(supervisor.RESUME)

    def _say(self, word: bytes) -> None:
        if self._process.stdin and self.alive:
            self._process.stdin.write(word)
            self._process.stdin.flush()

    def _end(self, word: bytes) -> int:
        if self._process.stdin and not self._process.stdin.closed:
            self._process.communicate(word)
        return self._process.wait()
