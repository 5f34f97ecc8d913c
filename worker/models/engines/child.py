"""Try in a process of its own what may crash: a crash there ends no worker."""

import subprocess
import sys


def crash_of(program: str, *arguments: object) -> int | None:
    """Run a Python program in a process of its own.

    Args:
        program: its source.
        arguments: its `sys.argv[1:]`, as text.

    Returns:
        The number of the signal that ended it; None if it ended by itself, with or without an error.
    """
    ended = end_of(program, *arguments).returncode
    return -ended if ended < 0 else None


def end_of(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run such a program, and return how it ended and what it wrote."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, encoding="utf-8", errors="replace")
