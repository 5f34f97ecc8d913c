"""What becomes of an error: its text on standard error, and an exit status."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from worker.cli import app
from worker.domain.errors import SettingsError, WorkerError
from worker.models.store import is_cached, unusable
from worker.ops.logs import configure_logs

_USUAL: Final = "correct that, and try again"
_ADVICE: Final[Mapping[int | None, str]] = {
    errno.ENOENT: "check the path",
    errno.EACCES: "allow this user to use it, or name another path",
    errno.EPERM: "allow this user to use it, or name another path",
    errno.EROFS: "name a path that can be written to",
    errno.ENOSPC: "free space on this disk, or name a path on another one",
    errno.EDQUOT: "free space on this disk, or name a path on another one",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a path whose folders are no files",
    errno.EEXIST: "name another path",
    errno.ENOTEMPTY: "name another path",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EADDRINUSE: "stop the program that uses the address, or choose another one",
}
"""What to do about an error of the system, by its number."""


def run_and_explain() -> int:
    """Run the command of the command line.

    Returns:
        The exit status: 2 for faults of settings and of the command line, 1 for all other errors.
    """
    configure_logs(level="warning", json=False)  # to standard error, whatever a command prints
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except WorkerError as error:
        _print(str(error))
        return 2 if isinstance(error, SettingsError) else 1
    except OSError as error:  # of the disk or of a file that the user has named; what is expected is told where it is
        _print(explain(error))
        return 1
    except UnicodeEncodeError as error:
        if not any("\udc80" <= each <= "\udcff" for each in error.object):  # bytes of the command line or a file's name
            raise
        _print(f"{error.object} is not UTF-8; set LC_ALL=C.UTF-8, or use another name")
        return 2
    return 0


def explain(error: OSError) -> str:
    """Say which file or folder cannot be used, why, and what to do."""
    cause = error.strerror or str(error)
    if not error.filename:
        return f"{cause}; {_ADVICE.get(error.errno, _USUAL)}"
    path = Path(os.fsdecode(error.filename))
    if is_cached(path):
        return str(unusable(path, error))
    return f"{path}: {cause}; {_ADVICE.get(error.errno, _USUAL)}"


def _print(text: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in text.splitlines():
        console.print("[bold red]error[/]", end=" ")
        console.print(line, markup=False)
