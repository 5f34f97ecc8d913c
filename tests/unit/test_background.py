import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.local import background
from worker.local.background import Running, announced, running, stop

STATE = Running(pid=os.getpid(), bootstrap_servers="127.0.0.1:9", nodes=1, folder=None, logs="/logs")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("VISION_WORKER_CACHE", str(tmp_path))
        yield


def test_what_is_announced_runs_until_the_announcement_ends() -> None:
    with announced(STATE):
        assert running() == STATE
    assert running() is None


def test_the_file_of_a_keeper_that_was_killed_says_nothing_though_its_process_id_is_taken() -> None:
    with announced(STATE):
        left = background.state_file().read_text()
    background.state_file().write_text(left)

    assert running() is None
    assert stop() is None


def test_a_new_keeper_replaces_the_file_of_a_killed_one() -> None:
    background.state_file().parent.mkdir()
    background.state_file().write_text("{")

    with announced(STATE):
        assert running() == STATE
