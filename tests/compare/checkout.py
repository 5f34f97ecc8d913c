"""A commit in a git worktree of its own, and how its code is run."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]


class CommandFailed(Exception):
    """A command that we need ended with an error, or ran the wrong code."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of one commit.

    Attributes:
        role: `before` or `after`.
        commit: its full hash.
        folder: its worktree.
    """

    role: str
    commit: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables with which Python imports this commit's code, wherever it is started.

        The package is installed editable, so its own checkout is on the path too; this one comes first. The working
        directory must not come before it, and PYTHONSAFEPATH keeps it out.
        """
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}

    def python(self, *arguments: str | Path) -> str:
        """Run Python on this commit's code, and return what it prints.

        Raises:
            CommandFailed: it ended with an error.
        """
        return _run([sys.executable, *map(str, arguments)], self.folder, self.environment)

    def check(self) -> None:
        """See that Python imports the worker of this commit.

        Raises:
            CommandFailed: it imports another one.
        """
        found = Path(self.python("-c", "import worker; print(worker.__file__)").strip())
        if found != self.folder / "worker" / "__init__.py":
            raise CommandFailed(f"{self.role} would run {found}, which is not in {self.folder}")


@contextmanager
def checked_out(role: str, commit: str, folder: Path) -> Iterator[Checkout]:
    """Check a commit out into a new folder; its worktree is removed with the block.

    Raises:
        CommandFailed: there is no such commit, or Python would not import its code.
    """
    found = _git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").strip()
    try:
        _git("worktree", "add", "--quiet", "--detach", str(folder), found)
        checkout = Checkout(role, found, folder.resolve())
        checkout.check()
        subject = _git("show", "--no-patch", "--format=%h %s", found).strip()
        sys.stdout.write(f"{role}: {subject}\n")
        sys.stdout.flush()
        yield checkout
    finally:
        if folder.exists():
            # Twice: git holds a lock on a worktree that it was interrupted in making.
            _git("worktree", "remove", "--force", "--force", str(folder))


def _git(*arguments: str) -> str:
    return _run(["git", *arguments], REPOSITORY, {})


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if ran.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with status {ran.returncode}:\n{ran.stderr[-3000:]}")
    return ran.stdout
