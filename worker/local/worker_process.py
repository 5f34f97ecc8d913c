"""A real worker in its own process, while this program lives."""

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from worker.domain.errors import WorkerError
from worker.local.guarded import GuardedProcess
from worker.settings import BOOTSTRAP_VARIABLE, ENV_PREFIX
from worker.settings.load import NOT_SETTINGS

READY_WITHIN: Final = 120.0
"""Seconds within which a worker must load its model and join its group."""
_CHECK_EVERY: Final = 0.1
_SHOWN_LINES: Final = 25
_TRY_AGAIN: Final = "stop other programs that need memory or the processor, and start it again"


class WorkerProcess:
    """`vision-worker run` with the given settings, on a free port.

    Args:
        settings: groups of settings; the port of the pages is added.
        folder: folder of its settings file and its log.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
        self.port = _free_port()
        self.log = folder / "worker.log"
        config = folder / "worker.yaml"
        config.write_text(yaml.safe_dump({**settings, "ops": {**settings.get("ops", {}), "port": self.port}}))
        bootstrap = {BOOTSTRAP_VARIABLE: settings["kafka"]["bootstrap_servers"]}
        command = [sys.executable, "-m", "worker", "run", "--config", str(config)]
        self._process = GuardedProcess([command], log=self.log, environment={**no_settings(), **bootstrap})

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    @property
    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1.0):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self) -> None:
        """Wait until it is ready for frames.

        Raises:
            WorkerError: it ended or took too long; the text has the end of its log.
        """
        deadline = time.monotonic() + READY_WITHIN
        while not self.ready:
            if not self.alive:
                raise WorkerError(f"a worker ended while it started; its log ends:\n{self.said()}\n{_TRY_AGAIN}")
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"a worker was not ready within {READY_WITHIN:.0f} s; its log ends:\n{self.said()}\n{_TRY_AGAIN}"
                )
            time.sleep(_CHECK_EVERY)

    def said(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_SHOWN_LINES:])

    def pause(self) -> None:
        """Pause it. Its group removes it after `session.timeout.ms`, 45 s by default."""
        self._process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._process.resume()

    def stop(self) -> int:
        """Let it drain, commit and leave the group; return its exit status."""
        return self._process.stop()

    def kill(self) -> int:
        """Kill it, like a power cut; return its exit status."""
        return self._process.kill()


def no_settings() -> dict[str, None]:
    """Return the variables of this program that are settings, to be taken away: they would override a worker's file."""
    return {name: None for name in os.environ if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
