"""A program that has nothing to do with the process that runs it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def another_program(*command: str) -> Iterator[psutil.Process]:
    """Run a program that is no child of this process, and kill it at the end with all that it started.

    The operating system adds the time of a child to the time of its parent. Tuning counts both as its own.
    """
    shell = subprocess.run(
        ["/bin/sh", "-c", '"$@" >/dev/null & echo $!', "sh", *command], check=True, stdout=subprocess.PIPE, text=True
    )
    program = psutil.Process(int(shell.stdout))
    try:
        yield program
    finally:
        for each in [program, *program.children(recursive=True)]:
            each.kill()
