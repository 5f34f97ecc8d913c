"""Commands as a person starts them: real processes, with an environment of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

WITHOUT_LANGUAGE = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""The environment of a system whose language is not set, and whose terminal shows nothing but ASCII."""


def command(*words: str) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-m", "worker", *words]


def environment(cache: Path | str, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without settings of the worker, and with this cache."""
    ours = ("VISION_WORKER_", "KAFKA_BOOTSTRAP_SERVERS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"VISION_WORKER_CACHE": str(cache)} | dict(variables or {})


def ran(*words: str, cache: Path | str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*words),
        env=environment(cache, variables),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
