"""The Kafka that outlives the command that started it: at most one a user, and no doubt whether it runs.

Its keeper (`worker.local.keeper`) writes the state file and holds a lock on it for as long as it lives. The kernel lets
go of the lock when the keeper ends, however it ends: a locked file is true, any other is stale, and no process id is
trusted that another process may have been given since.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.domain.errors import WorkerError
from worker.models.store import atomic_file, cache_folder

_LOOK_EVERY = 0.05  # seconds
_STOPPED_WITHIN = 60.0  # seconds; a node is killed after 15


class BackgroundFailed(WorkerError):
    """The Kafka in the background did not start, or does not end."""


@dataclass(frozen=True, slots=True)
class Running:
    """The Kafka that runs in the background.

    Attributes:
        pid: of its keeper.
        folder: where its data stays; None when the data goes with it.
        logs: the folder with one log file a node.
    """

    pid: int
    bootstrap_servers: str
    nodes: int
    folder: str | None
    logs: str


def running() -> Running | None:
    """Return what runs, None if nothing does."""
    try:
        with _state_file().open() as state:
            try:
                fcntl.flock(state, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Running(**json.load(state))
    except FileNotFoundError:
        pass
    return None


def start(nodes: int, folder: Path | None) -> Running:
    """Start Kafka in the background and return when it is ready, or return the one that runs already.

    Raises:
        BackgroundFailed: it did not start; the message says why.
    """
    with _one_at_a_time():
        if found := running():
            return found
        log = _state_folder() / "keeper.log"
        wanted = json.dumps({"nodes": nodes, "folder": folder and str(folder.absolute())})
        with log.open("w") as output:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "worker.local.keeper", wanted],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while keeper.poll() is None:
                if found := running():
                    keeper.returncode = 0  # it is meant to outlive us: no warning that it does
                    return found
                time.sleep(_LOOK_EVERY)
        except BaseException:
            keeper.terminate()
            keeper.wait()
            raise
        raise BackgroundFailed(log.read_text().strip() or f"the keeper of Kafka ended with status {keeper.returncode}")


def stop() -> Running | None:
    """End the Kafka in the background and wait until it is gone; return what ran.

    Raises:
        BackgroundFailed: it does not end.
    """
    found = running()
    if found is None:
        return None
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOPPED_WITHIN
    while running() == found:
        if time.monotonic() > deadline:
            raise BackgroundFailed(
                f"Kafka does not end; its keeper is process {found.pid}, its logs are in {found.logs}"
            )
        time.sleep(_LOOK_EVERY)
    return found


@contextmanager
def announced(state: Running) -> Iterator[None]:
    """Let others find what runs, until the block ends."""
    file = _state_file()
    with ExitStack() as stack:
        with atomic_file(file) as unfinished:
            held = stack.enter_context(unfinished.open("w"))
            fcntl.flock(held, fcntl.LOCK_EX)  # before it has its name: nobody sees it without the lock
            json.dump(asdict(state), held)
            held.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait while another command starts a Kafka."""
    with (_state_folder() / "starting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _state_file() -> Path:
    return _state_folder() / "running.json"


def _state_folder() -> Path:
    folder = cache_folder() / "local-kafka"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
