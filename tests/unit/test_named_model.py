"""A model as people give it: everywhere a name, a folder, or a manifest file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.cli.tune import _read_groups
from worker.domain.errors import SettingsError
from worker.settings import ModelGroup


def test_a_name_is_told_from_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()

    assert ModelGroup.named("mobilenet_v2") == ModelGroup(name="mobilenet_v2")
    for path in ("models/mine", "model.yaml", "here", "./here"):
        assert ModelGroup.named(path) == ModelGroup(path=Path(path))
    assert ModelGroup.named(Path("mine")) == ModelGroup(path=Path("mine"))


def test_tune_takes_it_instead_of_the_settings_model(tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text("model: {name: resnet18, engine: eager}\nwindow: {max_frames: 8}\n")
    groups = _read_groups(config, "mobilenet_v2")

    assert (groups.model, groups.window.max_frames) == (ModelGroup(name="mobilenet_v2"), 8)
    assert _read_groups(config, None).model.name == "resnet18"
    with pytest.raises(SettingsError, match="model: set either path"):
        _read_groups(None, None)


@pytest.mark.parametrize("command", ["replay", "render", "tune", "size"])
def test_commands_take_it_by_the_same_option(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output

    assert "A name of `models list`, the folder of a model, or its manifest" in shown
    assert "--model" in shown
    assert "-m " in shown
