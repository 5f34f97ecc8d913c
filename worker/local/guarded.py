"""A process that never outlives the program that started it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.local import supervisor


class GuardedProcess:
    """Commands run one after the other by a supervisor, which ends them when this program ends, however it does.

    Args:
        commands: each begins when the one before it has succeeded.
        log: what they say is appended here.
        scratch: a folder to remove if this program dies without ending them.
        environment: variables on top of our own.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        log: Path,
        scratch: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        keep = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(scratch or "")]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            # A session of its own: Ctrl-C at the terminal is for the program, which then stops its processes in order.
            self._process = subprocess.Popen(
                [*keep, json.dumps([list(command) for command in commands])],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
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
        """Send SIGTERM, SIGKILL if that does not help in time; return the exit status."""
        return self._end(supervisor.STOP)

    def kill(self) -> int:
        """Send SIGKILL, as a power cut would; return the exit status."""
        return self._end(supervisor.KILL)

    def _end(self, word: bytes) -> int:
        if self._process.stdin and not self._process.stdin.closed:
            self._process.communicate(word)
        return self._process.wait()
