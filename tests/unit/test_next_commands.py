"""The commands that a demo ends with: they work when they are typed where the demo was started."""

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.cli.next_commands import next_commands, program_name


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the program in `.venv/bin`."""
    program = tmp_path / ".venv" / "bin" / "vision-worker"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("absolute", [False, True])
def test_it_is_named_from_the_current_folder(checkout: Path, *, absolute: bool) -> None:
    started = ".venv/bin/vision-worker"

    assert program_name([str(checkout / started) if absolute else started], checkout) == started


def test_in_an_active_environment_the_name_is_enough(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = checkout / ".venv" / "bin" / "vision-worker"
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    assert program_name([str(program)], Path("/")) == "vision-worker"


def test_another_program_of_that_name_in_the_path_is_not_meant(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = checkout / ".venv" / "bin" / "vision-worker"
    monkeypatch.setenv("PATH", str(program.parent))
    other = checkout / "my tools" / "vision-worker"

    assert program_name([str(other)], Path("/elsewhere")) == f"'{other}'"


def test_as_a_module_it_is_named_with_its_python() -> None:
    assert program_name(["/site-packages/worker/__main__.py"], Path("/elsewhere")) == f"{sys.executable} -m worker"


def test_a_program_in_the_current_folder_is_not_looked_for_in_the_path(checkout: Path) -> None:
    assert program_name(["./vision-worker"], checkout) == "./vision-worker"


@pytest.mark.parametrize("stays", [None, "demo-1-predictions"])
@pytest.mark.parametrize("killed", [False, True])
def test_each_command_takes_the_options_that_it_is_given(*, killed: bool, stays: str | None) -> None:
    commands = [each.command.split() for each in next_commands("vision-worker", killed=killed, stays=stays)]

    assert len(commands) == 3
    for _, *words in commands:
        name = [word for word in words if word in {"demo", "kafka", "up", "tail", "replay"}]
        said = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "200"}).output
        assert all(word in said for word in words if word.startswith("--"))
        assert said.startswith("\n") or "Usage" in said


def test_what_is_gone_is_not_offered() -> None:
    assert not any("tail" in each.command for each in next_commands("v", killed=False, stays=None))
    assert any("--topic demo-1" in each.command for each in next_commands("v", killed=False, stays="demo-1"))
    assert not any("--kill" in each.command for each in next_commands("v", killed=True, stays=None))
