"""Programs from Debian packages, for tests that need the real program."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from worker.models.store import cache_folder, make_folder_once


class ProgramMissing(AssertionError):
    """A program is not available. The test fails, because a skipped test proves nothing."""


def debian_program(name: str, package: str) -> Path:
    """Return the program from the PATH, or else from Debian's package, downloaded to the user's cache on first use.

    The package is unpacked but not installed: the machine does not change, and no service is started.

    Raises:
        ProgramMissing: Debian's package is not available here; the text says what to install.
    """
    if found := shutil.which(name):
        return Path(found)
    folder = cache_folder() / "debian" / package
    program = folder / "usr" / "bin" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # apt does not run concurrently, but tests may run in several processes
        if program.exists():
            return program
        shutil.rmtree(folder, ignore_errors=True)  # without the program, it is not what the package holds
        try:
            make_folder_once(folder, lambda empty: _unpack(package, empty), holds=str(program.relative_to(folder)))
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or error
            raise ProgramMissing(
                f"{name!r} is needed on the PATH and Debian's package {package!r} could not be downloaded; "
                f"install it, with `apt-get install {package}` if there is apt: {said}"
            ) from error
    return program


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
