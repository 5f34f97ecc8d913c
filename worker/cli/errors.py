"""What becomes of an error: its text on standard error, and an exit status."""

from rich.console import Console

from worker.cli import app
from worker.domain.errors import SettingsError, WorkerError
from worker.ops.logs import configure_logs


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
    return 0


def _print(text: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in text.splitlines():
        console.print("[bold red]error[/]", end=" ")
        console.print(line, markup=False)
