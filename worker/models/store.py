"""Files on disk: the user's cache, hashes, and atomic creation of files and folders."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache folder: $VISION_WORKER_CACHE, else in $XDG_CACHE_HOME, else in ~/.cache."""
    if own := os.environ.get("VISION_WORKER_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision-worker"


def sha256_of_file(file: Path) -> str:
    """Return a file's sha256, 64 hex digits; the file may be larger than memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Return the sha256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Yield a path to write to, and rename it to `file` when the block ends without an error.

    A reader sees the old file or the new one, never a part of it. The last of several writers wins. The path has the
    same file name and is in an empty folder next to `file`, so the writer may create other files there.
    """
    with _empty_folder_next_to(file) as scratch:
        unfinished = scratch / file.name
        yield unfinished
        unfinished.replace(file)


def write_atomically(file: Path, data: bytes) -> None:
    """Replace a file atomically."""
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(data)


def make_file_once(file: Path, write: Callable[[Path], None]) -> Path:
    """Return the file; write it if it does not exist.

    Args:
        file: a file whose name determines its content, so that an existing file is the right one.
        write: writes the file to the given path (see `atomic_file`).
    """
    if not file.exists():
        with atomic_file(file) as unfinished:
            write(unfinished)
    return file


def make_folder_once(folder: Path, fill: Callable[[Path], None], *, holds: str) -> Path:
    """Return the folder; create it if it does not exist. The first of several writers wins.

    Args:
        folder: the folder's path.
        fill: fills an empty folder with the same name, which is then renamed.
        holds: the path of a file that `fill` creates in the folder.

    Raises:
        OSError: there is another folder with this name, without that file.
    """
    if (folder / holds).exists():
        return folder
    with _empty_folder_next_to(folder) as scratch:
        unfinished = scratch / folder.name
        unfinished.mkdir()
        fill(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not (folder / holds).exists():  # otherwise another process was faster
                raise
    return folder


@contextmanager
def _empty_folder_next_to(path: Path) -> Iterator[Path]:
    """Create a temporary folder on the same file system, so that a rename from there to `path` is atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as scratch:
        yield Path(scratch)
