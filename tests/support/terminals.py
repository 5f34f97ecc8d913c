"""Run a program in a terminal of a given size, and see the lines that it writes."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_in_terminal(
    command: Sequence[str], *, columns: int, rows: int, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return all lines that a program wrote to a terminal, without colours; those drawn again are there again.

    Raises:
        AssertionError: it ended with an error; the text has what it wrote.
    """
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}  # of another terminal
    env = {**own, "TERM": "xterm-256color", **(environment or {})}
    process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=env)
    os.close(inside)
    written = bytearray()
    while chunk := _read(outside):
        written += chunk
    os.close(outside)
    text = written.decode()
    assert process.wait() == 0, text
    return [line.rstrip() for line in re.split(r"[\r\n]+", _CONTROL.sub("", text))]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the last process that had it open has ended
        return b""
