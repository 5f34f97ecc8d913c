"""The workers of the demo have the settings of their file, whatever this program was started with."""

import sys
from pathlib import Path

import pytest

from tests.support.workers import wait_until
from worker.local.guarded import GuardedProcess
from worker.local.worker_process import no_settings


def test_settings_are_taken_away_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_OPS__PORT", "1")
    monkeypatch.setenv("VISION_WORKER_TOPICS", "{}")
    monkeypatch.setenv("VISION_WORKER_CACHE", "/cache")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("PROFILE", "ENGINE"):  # the tests' own
        monkeypatch.delenv(f"VISION_WORKER_MODEL__{name}", raising=False)

    assert no_settings() == {"VISION_WORKER_OPS__PORT": None, "VISION_WORKER_TOPICS": None}


def test_a_process_has_what_is_added_and_not_what_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TAKEN", "KEPT"):
        monkeypatch.setenv(name, name)
    said = "import os; print(*(os.environ.get(name) for name in ('TAKEN', 'KEPT', 'ADDED')))"
    log = tmp_path / "log"
    process = GuardedProcess([[sys.executable, "-c", said]], log=log, environment={"TAKEN": None, "ADDED": "added"})

    wait_until(lambda: not process.alive, "the process ends")
    assert process.stop() == 0
    assert log.read_text() == "None KEPT added\n"
