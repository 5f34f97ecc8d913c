"""Programs and libraries from Debian packages, for tests that need the real ones."""

import ctypes
import fcntl
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from worker.models.store import cache_folder, make_folder_once


class Missing(AssertionError):
    """A program or a library is not available. The test fails, because a skipped test proves nothing."""


def debian_program(name: str, package: str) -> Path:
    """Return the program from the PATH, or else from Debian's package, downloaded to the user's cache on first use.

    The package is unpacked but not installed: the machine does not change, and no service is started.

    Raises:
        Missing: Debian's package is not available here; the text says what to install.
    """
    if found := shutil.which(name):
        return Path(found)
    return _from_package(package, f"usr/bin/{name}")


def load_debian_library(name: str, package: str) -> None:
    """Load a shared library into this process: the system's own, or else that of Debian's package, from the cache.

    A library that is loaded is found by its name, wherever its file is.

    Raises:
        Missing: Debian's package is not available here; the text says what to install.
    """
    try:
        ctypes.CDLL(name)
    except OSError:
        folder = sysconfig.get_config_var("MULTIARCH")
        ctypes.CDLL(str(_from_package(package, f"usr/lib/{folder}/{name}")))


def _from_package(package: str, name: str) -> Path:
    """Return a file of a package, which is downloaded to the user's cache on first use.

    Raises:
        Missing: Debian's package is not available here; the text says what to install.
    """
    folder = cache_folder() / "debian" / package
    file = folder / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # apt does not run concurrently, but tests may run in several processes
        if file.exists():
            return file
        shutil.rmtree(folder, ignore_errors=True)  # without the file, it is not what the package holds
        try:
            make_folder_once(folder, lambda empty: _unpack(package, empty), holds=name)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or error
            raise Missing(
                f"{file.name!r} is needed and Debian's package {package!r} could not be downloaded; "
                f"install it, with `apt-get install {package}` if there is apt: {said}"
            ) from error
    return file


def _unpack(package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _run("apt-get", "download", package, inside=scratch)
        except subprocess.CalledProcessError:
            if os.geteuid() != 0:
                raise
            _run("apt-get", "update", inside=scratch)  # a fresh machine has no lists yet
            _run("apt-get", "download", package, inside=scratch)
        (archive,) = Path(scratch).glob("*.deb")
        _run("dpkg-deb", "--extract", str(archive), str(folder), inside=scratch)


def _run(program: str, *arguments: str, inside: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(f"there is no {program} here")
    subprocess.run([found, *arguments], check=True, capture_output=True, text=True, cwd=inside)
