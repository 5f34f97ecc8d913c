"""The file that tuning writes and `run` reads, and a whole small tuning that ends in one."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
import yaml
from torch import nn
from typer.testing import CliRunner

from tests.support.models import small_manifest, write_manifest
from worker.cli import app
from worker.domain.errors import SettingsError
from worker.models.build import load_model
from worker.models.container import cores
from worker.models.manifest import load_manifest
from worker.models.store import sha256_of_file
from worker.settings import ModelGroup
from worker.settings.offline import Groups
from worker.tuning.in_force import in_force
from worker.tuning.profile import Key, Profile, file_of, key_of, read_profile, write_profile

CHOSEN = {"model.engine": "onnxruntime", "model.streams": 2, "model.threads": 2, "window.max_frames": 16}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of profiles, empty; what there is in it may be used."""
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VISION_WORKER_MODEL__PROFILE")
    monkeypatch.delenv("VISION_WORKER_MODEL__ENGINE")
    return tmp_path / "cache" / "profiles"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a real network of 8x8 pixels, with weights whose answers tell pictures apart."""
    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    program = torch.export.export(
        network, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)
    )
    torch.export.save(program, folder / "small.pt2")
    return write_manifest(folder, small_manifest(sha256=sha256_of_file(folder / "small.pt2")))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of JPEGs, no two alike, and one that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(11):
        cv2.imwrite(str(folder / f"{number}.jpg"), draw.integers(0, 256, (3, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 cut short")
    return folder


def a_profile(model: Path, **settings: Any) -> Profile:
    return Profile(
        key=key_of(load_manifest(model), "cpu"),
        tuned_at="2026-01-31T12:00:00+00:00",
        frames="11 frames of nothing",
        min_agreement=0.995,
        max_difference=0.05,
        settings=settings or CHOSEN,
        frames_per_second=20.0,
        untuned_frames_per_second=10.0,
        tried=[],
    )


def groups_of(model: Path, **settings: Any) -> Groups:
    return Groups.of({"model": ModelGroup(path=model, **settings)})


# The file.


def test_what_was_written_is_read(model: Path) -> None:
    profile = a_profile(model)

    assert read_profile(profile.key) is None
    file = write_profile(profile)
    assert read_profile(profile.key) == profile
    assert list(file.parent.iterdir()) == [file]


def test_a_second_tuning_takes_the_place_of_the_first(model: Path) -> None:
    write_profile(a_profile(model))
    again = a_profile(model, **{"model.engine": "eager"})

    assert [write_profile(again)] == list(file_of(again.key).parent.iterdir())
    assert read_profile(again.key) == again


@pytest.mark.parametrize("field", Key.__struct_fields__)
def test_anything_that_differs_has_a_profile_of_its_own(field: str, model: Path) -> None:
    key = a_profile(model).key
    others: dict[str, Any] = {"cores": key.cores + 1, "features": (), "versions": {**key.versions, "torch": "1.0"}}
    other = msgspec.structs.replace(key, **{field: others.get(field, "other")})
    write_profile(a_profile(model))

    assert file_of(other) != file_of(key)
    assert read_profile(other) is None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"tuned_at"', ""),
        ('"settings"', '"setting"'),
        ('"cores": ', '"cores": 1'),
        ('"model.engine": "onnxruntime"', '"model.engine": "steam"'),
    ],
    ids=["no JSON", "without settings", "of another machine", "with a value that cannot be"],
)
def test_a_damaged_profile_says_what_to_do(right: str, wrong: str, model: Path) -> None:
    file = write_profile(a_profile(model))
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))

    with pytest.raises(SettingsError, match=r"model\.profile: .*; delete it, run vision-worker tune again") as caught:
        in_force(groups_of(model))
    assert str(file) in str(caught.value)


# In force.


def test_a_real_model_runs_as_its_profile_says(model: Path) -> None:
    file = write_profile(a_profile(model))
    found = in_force(groups_of(model))

    assert (found.file, found.taken, found.left) == (file, CHOSEN, {})
    assert (found.groups.window.max_frames, found.groups.model.streams) == (16, 2)
    load_model(found.groups.model).warm_up(4)
    assert [kept.suffix for kept in (file.parents[1] / "engines").iterdir()] == [".onnx"]


def test_what_the_user_has_set_wins_and_is_told(model: Path) -> None:
    write_profile(a_profile(model))
    found = in_force(groups_of(model, engine="eager", streams=1))

    assert found.taken == {"window.max_frames": 16}
    assert (found.groups.model.engine, found.groups.model.streams) == ("eager", 1)
    assert found.choice is None
    assert str(found).endswith(
        "sets window.max_frames=16; not used, because of your own settings: model.engine=onnxruntime, model.streams=2, "
        "model.threads=2"
    )


def test_a_profile_can_be_switched_off(model: Path) -> None:
    write_profile(a_profile(model))
    found = in_force(groups_of(model, profile="off", engine="eager", streams=1))

    assert (found.file, found.taken) == (None, {})
    assert found.groups.window.max_frames == 32
    assert str(found).startswith("off")


def test_what_neither_the_user_nor_a_profile_sets_suits_the_machine(model: Path) -> None:
    found = in_force(groups_of(model, engine="eager"))
    count = cores()

    assert (found.taken, found.groups.model.streams) == ({}, count)
    assert found.origins == {"model.streams": "auto", "window.max_frames": "auto"}
    assert str(found).startswith("none for this machine")
    assert found.choice == (
        f"model.streams={count}, window.max_frames={max(32, 16 * count)}; vision-worker tune may find faster settings"
    )


def test_a_profile_leaves_the_rest_to_what_suits_the_machine(model: Path) -> None:
    write_profile(a_profile(model, **{"model.engine": "eager", "model.streams": 1}))
    found = in_force(groups_of(model, engine="auto", streams="auto"))

    assert (found.groups.model.engine, found.groups.model.streams) == ("eager", 1)
    assert found.origins == {"model.engine": "profile", "model.streams": "profile", "window.max_frames": "auto"}
    assert found.choice == "window.max_frames=32"  # it is tuned


# The command.


def test_tuning_writes_a_profile_which_the_worker_takes(
    model: Path, pictures: Path, tmp_path: Path, cache: Path
) -> None:
    config = tmp_path / "worker.yaml"
    # One engine that is ready at once, on fewer streams than cores, so that others may decode ahead of it; the other
    # answers are those of the whole search.
    fixed = {"engine": "eager", "precision": "fp32", "streams": 1}
    config.write_text(yaml.safe_dump({"model": {"path": str(model), **fixed}}))
    words = ["tune", "--config", str(config), "--frames", str(pictures), "--seconds", "0.03", "--json"]
    ran = CliRunner().invoke(app, words)

    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    (file,) = cache.iterdir()
    assert said["file"] == str(file)
    assert said["frames"] == f"8 frames of {pictures}"  # of twelve, three are for calibration, and one is broken
    assert said["key"]["cores"] == len(os.sched_getaffinity(0))
    stages = {each["stage"] for each in said["tried"]}
    assert {"torch", "batch", "decoding", "result"} <= stages
    agreed = [each for each in said["tried"] if each["why_not"] is None]
    assert all(
        each["agreement"] == 1.0 and each["frames_per_second"] > 0 for each in agreed if each["stage"] == "batch"
    )
    result = [each for each in said["tried"] if each["stage"] == "result"]
    assert said["frames_per_second"] == max(each["frames_per_second"] for each in result) or said["settings"] == {}
    found = in_force(groups_of(model, **fixed))
    assert (found.file, found.left) == (file, {})
    assert found.taken == {
        name: value for name, value in said["settings"].items() if name.removeprefix("model.") not in fixed
    }


def test_tuning_needs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISION_WORKER_MODEL__NAME", raising=False)
    ran = CliRunner().invoke(app, ["tune"])

    assert isinstance(ran.exception, SettingsError)
    assert "set either path" in str(ran.exception)


def test_frames_that_nobody_can_decode(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_MODEL__PATH", str(model))
    (tmp_path / "frames").mkdir()
    for name in "abc":
        (tmp_path / "frames" / f"{name}.jpg").write_bytes(b"\xff\xd8 cut short")
    ran = CliRunner().invoke(app, ["tune", "--frames", str(tmp_path / "frames")])

    assert "none of the 2 frames can be decoded: give other frames with --frames" in str(ran.exception)
