"""A separate environment for Quix Streams, which needs an older confluent-kafka than the worker."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from worker.models.packages import FetchFailed
from worker.models.store import cache_folder, write_atomically

VERSION: Final = "3.28.1"


def quix_python() -> Path:
    """Return the environment's Python; create the environment on first use.

    It falls back to this environment's packages, so that torch and OpenCV are not installed twice.

    Raises:
        FetchFailed: pip could not install it.
    """
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / "bench" / f"quixstreams-{VERSION}-python{python_version}"
    python = folder / "bin" / "python"
    finished = folder / ".ready"
    if not finished.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        _run([str(python), "-m", "pip", "install", *options, f"quixstreams=={VERSION}"])
        finished.touch()
    packages = folder / "lib" / f"python{python_version}" / "site-packages"
    # Written each time: the last user may have been another checkout.
    write_atomically(packages / "behind.pth", f"{sysconfig.get_path('purelib')}\n".encode())
    return python


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise FetchFailed(f"the environment of Quix Streams could not be created: {ran.stderr.strip()}")
