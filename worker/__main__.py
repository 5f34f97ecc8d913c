"""Runs the command line."""

import sys

from rich.console import Console

from worker.cli import app
from worker.domain.errors import SettingsError, WorkerError
from worker.ops.logs import configure_logs


def main() -> None:
    """Run a command; an error of ours becomes its text and an exit code: 2 for settings, 1 for all else."""
    configure_logs(level="warning", json=False)  # to standard error, whatever a command prints
    try:
        app()
    except WorkerError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for line in str(error).splitlines():
            console.print("[bold red]error[/]", end=" ")
            console.print(line, markup=False)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


if __name__ == "__main__":
    main()
