"""Runs commands that must not outlive the program that asked for them, however that program ends.

Run by its path, alone, so that it is up in milliseconds and imports nothing of ours:

    python -I -S supervisor.py PARENT SCRATCH '[["first", "command"], ["second", "command"]]'

The commands run one after the other while each succeeds. Standard input says when to end early:

    s           stop: SIGTERM, and SIGKILL if that does not help in time
    k           kill: SIGKILL
    end of file the parent (process id PARENT) is gone: SIGKILL, and its folder SCRATCH is removed ("" for none)

Three things can go wrong, and each has its answer. The parent is killed: its end of the pipe closes. A process that the
parent forked holds that end open: we ask who our parent is. We are killed ourselves: the kernel kills the command.
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
_LOOK_EVERY = 0.1  # seconds
_GRACE = 15.0  # seconds a command has between SIGTERM and SIGKILL


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
    """Run one command to its end; return its status and what ended it early, None if nothing did."""
    # The hook is safe: this process has one thread.
    die_with_us = partial(_die_with, os.getpid())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_us)  # noqa: PLW1509
    word = None
    while child.poll() is None and word is None:
        word = _listen(parent)
    if word == STOP:
        child.terminate()
        try:
            return child.wait(_GRACE), word
        except subprocess.TimeoutExpired:
            pass
    if word is not None:
        child.kill()
    return child.wait(), word


def _listen(parent: int) -> bytes | None:
    """Wait a moment for a word of the parent; an empty one says that it is gone."""
    readable, _, _ = select.select([sys.stdin], [], [], _LOOK_EVERY)
    if readable:
        return os.read(sys.stdin.fileno(), 1)
    return b"" if os.getppid() != parent else None


def _die_with(supervisor: int) -> None:
    """Ask the kernel, between fork and exec, to kill this process when the supervisor ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it ended before we could ask
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
