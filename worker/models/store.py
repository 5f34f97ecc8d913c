"""Files on disk: the user's cache, hashes, and atomic creation of files and folders."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from worker.domain.errors import WorkerError

CACHE_VARIABLE: Final = "VISION_WORKER_CACHE"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OF_DISK: Final = _FULL | {errno.EROFS, errno.EIO}
"""Errors of a write that name no file."""
_LEAST: Final = 2**20
"""Bytes; a disk with less is full. Some libraries do not say why a write has failed."""


class FolderUnusable(WorkerError):
    """Files cannot be written to a folder."""


def cache_folder() -> Path:
    """Return the user's cache folder: $VISION_WORKER_CACHE, else in $XDG_CACHE_HOME, else in ~/.cache.

    Raises:
        FolderUnusable: no variable names it, and this user has no home.
    """
    try:
        if own := os.environ.get(CACHE_VARIABLE):
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision-worker"
    except RuntimeError as error:
        raise FolderUnusable(
            f"the folder of the cache is not known: {error}; set {CACHE_VARIABLE} to a folder that can be written to"
        ) from error


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
        FolderUnusable: it cannot be written, or there is another folder with this name, without that file.
    """
    if (folder / holds).exists():
        return folder
    with _empty_folder_next_to(folder) as scratch:
        unfinished = scratch / folder.name
        unfinished.mkdir()
        fill(unfinished)
        try:
            unfinished.rename(folder)
        except OSError as error:
            if not (folder / holds).exists():  # otherwise another process was faster
                raise FolderUnusable(f"{folder} is there without {holds}: delete it, and it is made again") from error
    return folder


@contextmanager
def writing_to(folder: Path, *, variable: str = CACHE_VARIABLE) -> Iterator[None]:
    """Create a folder, and raise FolderUnusable if it cannot be created, or if a write fails because of its disk.

    Args:
        folder: that of the cache, one in it, or any other.
        variable: the environment variable that would move it; this one only if it is in the cache.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error, variable) from error
    try:
        yield
    except FolderUnusable:
        raise
    except OSError as error:
        if error.errno in _OF_DISK or Path(error.filename or "").is_relative_to(folder):
            raise unusable(folder, error, variable) from error
        raise
    except Exception as error:
        if shutil.disk_usage(folder).free < _LEAST:
            raise unusable(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), variable) from error
        raise


def unusable(folder: Path, error: OSError, variable: str = CACHE_VARIABLE) -> FolderUnusable:
    """Return the error of a folder in which a file could not be read or written; the arguments are as above."""
    named = cache_folder() if is_cached(folder) else folder
    what, other = f"{named} cannot be used", "name another folder"
    if variable != CACHE_VARIABLE or is_cached(folder):
        what, other = f"the cache folder {what}", f"set {variable} to another folder"
    advice = f"free space on this disk, or {other}" if error.errno in _FULL else other
    return FolderUnusable(f"{what}: {error.strerror or error}; {advice}")


def is_cached(path: Path) -> bool:
    """Return whether a path is the user's cache folder, or lies in it."""
    return path.is_relative_to(cache_folder())


@contextmanager
def _empty_folder_next_to(path: Path) -> Iterator[Path]:
    """Create a temporary folder on the same file system, so that a rename from there to `path` is atomic."""
    with (
        writing_to(path.parent),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-", ignore_cleanup_errors=True) as scratch,
        writing_to(Path(scratch)),  # while the disk is still full
    ):
        yield Path(scratch)
