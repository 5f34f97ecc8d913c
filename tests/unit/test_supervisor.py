import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from worker.local import supervisor

SLEEP = ["sleep", "600"]

# Prints the process id of its supervisor, and lives until it is killed. With "fork" it leaves a child of its own behind
# that holds the pipe open for some seconds.
PROGRAM = """
import json, os, subprocess, sys, time
supervisor, scratch, fork = sys.argv[1:]
command = [sys.executable, "-I", "-S", supervisor, str(os.getpid()), scratch, json.dumps([["sleep", "600"]])]
kept = subprocess.Popen(command, stdin=subprocess.PIPE)
if fork and os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(6)
    os._exit(0)
print(kept.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("fork", ["", "fork"])
def test_a_killed_parent_takes_the_command_with_it(tmp_path: Path, fork: str) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program_text = [sys.executable, "-c", PROGRAM, supervisor.__file__, str(scratch), fork]
    with subprocess.Popen(program_text, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        supervising = int(program.stdout.readline())
        command = _only_child(supervising)
        program.send_signal(signal.SIGKILL)
        _wait_until(lambda: not _runs(command) and not _runs(supervising), seconds=5)

    assert not scratch.exists()


def test_a_killed_supervisor_takes_the_command_with_it() -> None:
    with _supervise(SLEEP) as process:
        command = _only_child(process.pid)
        process.kill()
        process.wait()
        _wait_until(lambda: not _runs(command))


@pytest.mark.parametrize(
    ("word", "number"), [(supervisor.STOP, signal.SIGTERM), (supervisor.KILL, signal.SIGKILL)], ids=["stop", "kill"]
)
def test_the_parent_may_end_the_command(tmp_path: Path, word: bytes, number: signal.Signals) -> None:
    with _supervise(SLEEP, ["touch", str(tmp_path / "next")], scratch=tmp_path) as process:
        _only_child(process.pid)
        process.communicate(word, timeout=10)

    assert process.returncode == (256 - number) % 256
    assert list(tmp_path.iterdir()) == []  # the scratch folder stays, and the next command did not run


def test_a_command_that_stands_still_goes_on_or_ends() -> None:
    with _supervise(SLEEP) as process:
        command = _only_child(process.pid)
        assert process.stdin is not None
        for word, stands_still in ((supervisor.PAUSE, True), (supervisor.RESUME, False), (supervisor.PAUSE, True)):
            process.stdin.write(word)
            process.stdin.flush()
            _wait_until(partial(_is_as_told, command, stands_still=stands_still))
        process.communicate(supervisor.STOP, timeout=10)

    assert process.returncode == 256 - signal.SIGTERM


def test_commands_run_while_each_succeeds(tmp_path: Path) -> None:
    first, second, third = (["touch", str(tmp_path / "first")], ["false"], ["touch", str(tmp_path / "third")])

    with _supervise(first, second, third) as process:
        assert process.wait(10) == 1

    assert [file.name for file in tmp_path.iterdir()] == ["first"]


def _supervise(*commands: list[str], scratch: Path | None = None) -> subprocess.Popen[bytes]:
    run = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(scratch or ""), json.dumps(commands)]
    return subprocess.Popen(run, stdin=subprocess.PIPE)


def _only_child(process: int) -> int:
    """Return the command's process id, once it runs under its own name."""
    children = Path(f"/proc/{process}/task/{process}/children")
    _wait_until(lambda: any(_name(child) == "sleep" for child in children.read_text().split()))
    (child,) = children.read_text().split()
    return int(child)


def _name(process: str) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


def _runs(process: int) -> bool:
    """Tell whether the process exists and is no zombie that waits for a parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_as_told(process: int, *, stands_still: bool) -> bool:
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return (state == "T") is stands_still
