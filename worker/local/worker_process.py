"""A real worker as a process of its own, for as long as this program lives."""

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

READY_WITHIN: Final = 120.0
"""Seconds a worker has to load its model and join its group."""
_LOOK_EVERY: Final = 0.1
_SHOWN_LINES: Final = 25


class WorkerProcess:
    """`vision-worker run` with the given settings, on a free port.

    Args:
        settings: groups of settings; the port of its pages is chosen here.
        folder: where its settings and its log are written.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
        self.port = _free_port()
        self.log = folder / "worker.log"
        config = folder / "worker.yaml"
        config.write_text(yaml.safe_dump({**settings, "ops": {**settings.get("ops", {}), "port": self.port}}))
        # The file says which brokers; a variable meant for this program would win over it.
        bootstrap = {"KAFKA_BOOTSTRAP_SERVERS": settings["kafka"]["bootstrap_servers"]}
        command = [sys.executable, "-m", "worker", "run", "--config", str(config)]
        self._process = GuardedProcess([command], log=self.log, environment=bootstrap)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    @property
    def ready(self) -> bool:
        """Whether it says so itself."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1.0):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self) -> None:
        """Return once it takes frames.

        Raises:
            WorkerError: it ended, or took too long; with the end of its log.
        """
        deadline = time.monotonic() + READY_WITHIN
        while not self.ready:
            if not self.alive or time.monotonic() > deadline:
                raise WorkerError(f"the worker did not get ready:\n{self.said()}")
            time.sleep(_LOOK_EVERY)

    def said(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_SHOWN_LINES:])

    def stop(self) -> int:
        """Let it drain, commit and leave; return its exit status."""
        return self._process.stop()

    def kill(self) -> int:
        """End it as a power cut would; return its exit status."""
        return self._process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
