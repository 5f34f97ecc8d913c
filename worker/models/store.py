"""Files on disk: the user's cache, hashes, and files and folders that are there whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the per-user cache: $VISION_WORKER_CACHE, else below $XDG_CACHE_HOME, else ~/.cache."""
    if own := os.environ.get("VISION_WORKER_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision-worker"


def sha256_of_file(file: Path) -> str:
    """Hash a file, which need not fit into memory; 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Hash bytes; 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Give a path to write to, and rename what was written to `file` when the block ends without an error.

    A reader sees the old file or the new one, never a part of it. Of two writers, the last one wins. The path ends in
    the same name and lies in an empty folder next to the file, so the writer may put other files there.
    """
    with _empty_folder_next_to(file) as scratch:
        unfinished = scratch / file.name
        yield unfinished
        unfinished.replace(file)


def write_atomically(file: Path, data: bytes) -> None:
    """Write a whole file in place of the one before."""
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(data)


def make_file_once(file: Path, write: Callable[[Path], None]) -> Path:
    """Return the file, writing it if it does not exist.

    Args:
        file: its name is the same for the same content only, so that one that exists is the right one.
        write: takes the path to write to, which `atomic_file` gives.
    """
    if not file.exists():
        with atomic_file(file) as unfinished:
            write(unfinished)
    return file


def make_folder_once(folder: Path, fill: Callable[[Path], None], *, holds: str) -> Path:
    """Return the folder, filling it if it does not exist. Of two writers, the first one wins.

    Args:
        folder: where it will lie.
        fill: takes an empty folder of the same name, which gets its place once it is filled.
        holds: the path of a file in the folder; a folder without it is not what `fill` makes.

    Raises:
        OSError: there is another folder of that name, without that file.
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
            if not (folder / holds).exists():  # else another process was faster
                raise
    return folder


@contextmanager
def _empty_folder_next_to(path: Path) -> Iterator[Path]:
    """Make a folder that goes when the block ends; from there to `path`, renaming is one step of the file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as scratch:
        yield Path(scratch)
