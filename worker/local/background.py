"""A Kafka that outlives the command that started it: at most one per user, and it is always certain whether it runs.

Its keeper (`worker.local.keeper`) writes the state file and holds a lock on it while it lives. The kernel releases the
lock when the keeper ends for any reason. So a locked file is valid, and an unlocked one is stale. A process id alone
would not be reliable, because another process may have got it since.
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
from worker.models.store import atomic_file, cache_folder, writing_to

_CHECK_EVERY = 0.05  # seconds
_STOPPED_WITHIN = 60.0  # seconds; a node is killed after 15


class BackgroundFailed(WorkerError):
    """The Kafka in the background did not start, or does not stop."""


@dataclass(frozen=True, slots=True)
class Running:
    """The Kafka that runs in the background.

    Attributes:
        pid: process id of its keeper.
        folder: folder of its data; None if the data is deleted when it stops.
        logs: the folder with one log file per node.
    """

    pid: int
    bootstrap_servers: str
    nodes: int
    folder: str | None
    logs: str


def running() -> Running | None:
    """Return the running Kafka, None if there is none."""
    try:
        with state_file().open() as state:
            try:
                fcntl.flock(state, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Running(**json.load(state))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # where this user can keep no state, nothing of this user runs
    return None


def start(nodes: int, folder: Path | None) -> Running:
    """Start Kafka in the background and return when it is ready; if one is running already, return that.

    Raises:
        BackgroundFailed: it did not start; the message says why.
    """
    with _one_at_a_time():
        if found := running():
            return found
        log = state_file().with_name("keeper.log")
        wanted = json.dumps({"nodes": nodes, "folder": folder and str(folder.absolute())})
        with writing_to(log.parent):
            output = log.open("w")
        with output:
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
                    keeper.returncode = 0  # it shall outlive this process: suppresses Python's warning
                    return found
                time.sleep(_CHECK_EVERY)
        except BaseException:
            keeper.terminate()
            keeper.wait()
            raise
        raise BackgroundFailed(log.read_text().strip() or f"the keeper of Kafka exited with status {keeper.returncode}")


def stop() -> Running | None:
    """Stop the Kafka in the background, wait until it has ended, and return it.

    Raises:
        BackgroundFailed: it does not stop.
    """
    found = running()
    if found is None:
        return None
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOPPED_WITHIN
    while running() == found:
        if time.monotonic() > deadline:
            raise BackgroundFailed(
                f"Kafka does not stop; its keeper is process {found.pid}, its logs are in {found.logs}"
            )
        time.sleep(_CHECK_EVERY)
    return found


@contextmanager
def announced(state: Running) -> Iterator[None]:
    """Publish the state file of a running Kafka until the block ends."""
    file = state_file()
    with ExitStack() as stack:
        with atomic_file(file) as unfinished:
            locked = stack.enter_context(unfinished.open("w"))
            fcntl.flock(locked, fcntl.LOCK_EX)  # before the rename: so the file is never visible without the lock
            json.dump(asdict(state), locked)
            locked.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait while another command starts a Kafka."""
    folder = state_file().parent
    with writing_to(folder):
        lock = (folder / "starting.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def state_file() -> Path:
    """Return the file that says what runs; it need not exist."""
    return cache_folder() / "local-kafka" / "running.json"
