"""Runs commands that must end when the program that requested them ends for any reason.

It is run by its path, so that it starts in milliseconds and imports nothing else of this project:

    python -I -S supervisor.py PARENT SCRATCH '[["first", "command"], ["second", "command"]]'

The commands run one after the other while each succeeds. Standard input can end them early:

    s           stop: SIGTERM, and SIGKILL if the command does not end in time
    k           kill: SIGKILL
    end of file the parent (process id PARENT) has ended: SIGKILL, and its folder SCRATCH is deleted ("" for none)

Three failures are handled. If the parent is killed, its end of the pipe closes. If a process that the parent forked
keeps that end open, this process notices that its own parent has changed. If this process is killed, the kernel kills
the command.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from functools import partial

STOP, KILL = b"s", b"k"

_PR_SET_PDEATHSIG = 1
_CHECK_EVERY = 0.1  # seconds
GRACE = 15.0  # seconds between SIGTERM and SIGKILL


def main(parent: int, scratch: str, commands: list[list[str]]) -> int:
    """Run the commands; return the exit status of the last one that ran."""
    status = 0
    for command in commands:
        status, word = _run(command, parent)
        if word == b"" and scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        if status != 0 or word is not None:
            break
    return status


def _run(command: list[str], parent: int) -> tuple[int, bytes | None]:
    """Run one command until it ends; return its status and the word that ended it early, or None."""
    # This hook is safe, because this process has only one thread.
    die_with_supervisor = partial(die_with, os.getpid())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_supervisor)  # noqa: PLW1509
    word = None
    while child.poll() is None and word is None:
        word = _listen(parent)
    if word == STOP:
        child.terminate()
        try:
            return child.wait(GRACE), word
        except subprocess.TimeoutExpired:
            pass
    if word is not None:
        child.kill()
    return child.wait(), word


def _listen(parent: int) -> bytes | None:
    """Wait briefly for a word from the parent; an empty word means that the parent has ended."""
    readable, _, _ = select.select([sys.stdin], [], [], _CHECK_EVERY)
    if readable:
        return os.read(sys.stdin.fileno(), 1)
    return b"" if os.getppid() != parent else None


def die_with(supervisor: int) -> None:
    """Let the kernel kill this process when the supervisor ends; called between fork and exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it ended before the call above
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
