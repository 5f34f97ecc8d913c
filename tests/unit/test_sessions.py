"""What a contestant's processes cost together, and that none of them is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.benchmarks import sessions
from tests.benchmarks.sessions import cpu_seconds, memory

# A process as engines start them: it starts another one in a process group of its own, and says so when both run.
TWO = """
import signal, subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "import signal; sum(range(5_000_000)); print('ready', flush=True); signal.pause()"],
    stdout=subprocess.PIPE, process_group=0,
)
child.stdout.readline()
print(child.pid, flush=True)
signal.pause()
"""


@contextmanager
def two_processes() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start two processes in a session of their own; yield the first, and the id of the second."""
    with subprocess.Popen([sys.executable, "-c", TWO], stdout=subprocess.PIPE, start_new_session=True) as first:
        assert first.stdout is not None
        second = int(first.stdout.readline())
        try:
            yield first, second
        finally:
            for process in (first.pid, second):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def test_all_processes_of_a_session_are_counted() -> None:
    with two_processes() as (first, second):
        assert {int(process.name) for process in sessions._processes(first.pid)} == {first.pid, second}
        assert memory(first.pid) > 2**20
        assert cpu_seconds(first.pid) > 0


def test_what_has_left_its_process_group_is_ended_too() -> None:
    with two_processes() as (first, second):
        first.kill()
        first.wait()

        sessions.end(first.pid)

        assert sessions._stat(sessions._PROC / str(second))[:1] in (
            [],
            ["Z"],
        )  # a zombie, if nobody has read its status
        assert memory(first.pid) == 0


def test_the_end_of_a_session_that_is_over_is_nothing() -> None:
    with two_processes() as (first, _):
        sessions.end(first.pid)
        first.wait()

    sessions.end(first.pid)

    assert cpu_seconds(first.pid) == pytest.approx(0.0)
