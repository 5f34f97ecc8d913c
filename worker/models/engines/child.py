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
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, check=False, capture_output=True).returncode
    return -ended if ended < 0 else None
