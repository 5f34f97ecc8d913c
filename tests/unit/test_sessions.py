"""What a contestant's processes cost together, and that none of them is left."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.benchmarks import sessions
from tests.benchmarks.sessions import cpu_seconds, memory

# A process as engines start them: it starts another one in a process group of its own, and says so when both run.
TWO = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "sum(range(5_000_000)); print('ready', flush=True); input()"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
)
child.stdout.readline()
print(child.pid, flush=True)
input()
"""


@contextmanager
def two_processes() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start two processes in a session of their own; yield the first, and the id of the second."""
    first = subprocess.Popen(
        [sys.executable, "-c", TWO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with first:
        assert first.stdout is not None
        yield first, int(first.stdout.readline())


def test_all_processes_of_a_session_are_counted() -> None:
    with two_processes() as (first, second):
        whole, second_alone = memory(first.pid), sessions._proportional(sessions._PROC / str(second))
        assert 0 < second_alone < whole
        assert cpu_seconds(first.pid) >= sessions._TICK

        sessions.end(first.pid)


def test_what_has_left_its_process_group_is_ended_too() -> None:
    with two_processes() as (first, _):
        first.kill()
        first.wait()

        sessions.end(first.pid)

        assert memory(first.pid) == 0


def test_the_end_of_a_session_that_is_over_is_nothing() -> None:
    with two_processes() as (first, _):
        sessions.end(first.pid)
        first.wait()

    sessions.end(first.pid)

    assert cpu_seconds(first.pid) == pytest.approx(0.0)
