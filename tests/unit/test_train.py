"""A trained folder is a model of the worker; an interrupted training ends as if it had not been."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.support.labelled import HUES, SMALL, coloured, write_data
from tests.support.pictures import frame_of
from worker.cli import app
from worker.domain.errors import ModelUnavailable, SettingsError, WorkerError
from worker.models.build import load_model
from worker.models.manifest import load_manifest
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup
from worker.training.loop import Step
from worker.training.train import Watcher, train

pytestmark = pytest.mark.slow

DETECTOR = replace(SMALL, task="detect", model="ssdlite320_mobilenet_v3_large", holdout=())
"""The smallest of torchvision's detectors."""


class Interrupting(Watcher):
    """Presses Ctrl-C in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def step(self, step: Step, epochs: int) -> None:
        assert epochs == SMALL.epochs
        if step.epoch == self.epoch and step.done == 2:
            raise KeyboardInterrupt


class Noting(Watcher):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.notes = list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("data"), cameras=3, pictures=6)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "hues"
    train(data, out, SMALL)
    return out


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(load_manifest(folder).file, weights_only=True)
    return state


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoint" / "last.pt")["training"]["network"]
    return state


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card


def test_the_worker_gets_the_accuracy_of_the_card(trained: Path, data: Path) -> None:
    group = ModelGroup(path=trained, top_k=1)
    model = load_model(group)
    decode = frame_decoder(model.preprocessing, group, Limits())
    right = []
    for index, hue in enumerate(sorted(HUES)):
        for file in sorted((data / hue / "camera0").iterdir()):
            pixels = np.empty((1, 32, 32, 3), np.uint8)
            decode(frame_of(file.read_bytes()), pixels[0])
            right.append(int(model.run(pixels)["indices"][0, 0]) == index)

    share = card_of(trained)["held_out"]["accuracy_share"]
    assert (sum(right), len(right)) == (share["right"], share["total"])


def test_the_card_says_what_was_held_out(trained: Path) -> None:
    card = card_of(trained)

    assert card["data"]["held_out_groups"] == ["camera0"]
    assert card["data"]["train_groups"] == ["camera1", "camera2"]
    assert card["data"]["train_samples"] == {"blue": 12, "green": 12, "red": 12}
    assert len(card["epochs"]) == SMALL.epochs
    assert card["options"]["holdout"] == ["camera0"]
    assert {each.name for each in trained.iterdir()} == {
        "README.md",
        "card.json",
        "checkpoint",
        "curves.png",
        "labels.txt",
        "model.yaml",
        "shufflenet_v2_x0_5.pth",
    }


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(trained: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "hues"
    outcome = train(data, out, SMALL, watcher=Interrupting(epoch=2))
    assert (outcome.interrupted, outcome.epochs) == (True, 1)
    assert card_of(out)["interrupted"]
    load_model(ModelGroup(path=out))

    outcome = train(data, out, SMALL, resume=True)

    assert (outcome.interrupted, outcome.epochs) == (False, SMALL.epochs)
    torch.testing.assert_close(last_weights(out), last_weights(trained), rtol=0, atol=1e-6)
    without_times = [{**each, "seconds": 0} for each in card_of(out)["epochs"]]
    assert without_times == [{**each, "seconds": 0} for each in card_of(trained)["epochs"]]


def test_what_was_interrupted_in_its_first_epoch_is_no_model(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="interrupted before its first epoch was complete"):
        train(data, tmp_path / "hues", SMALL, watcher=Interrupting(epoch=1))


def test_other_options_and_data_are_not_gone_on_with(trained: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="epochs was 3 and is 4") as caught:
        train(data, trained, replace(SMALL, epochs=4, seed=1), resume=True)
    assert len(caught.value.faults) == 2
    other = coloured(tmp_path / "other", cameras=3, pictures=5)
    with pytest.raises(SettingsError, match="but the data are others"):
        train(other, trained, SMALL, resume=True)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (lambda data, trained: trained, "has a checkpoint: go on from it with --resume"),  # noqa: ARG005
        (lambda data, trained: data / "red" / "new", "is in the data's folder"),  # noqa: ARG005
        (lambda data, trained: trained.parent, "is not empty"),  # noqa: ARG005
        (lambda data, trained: trained / "model.yaml", "is a file"),  # noqa: ARG005
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(
    place: Callable[[Path, Path], Path], text: str, trained: Path, data: Path
) -> None:
    with pytest.raises(SettingsError, match=text):
        train(data, place(data, trained), SMALL)


def test_without_a_checkpoint_there_is_nothing_to_resume(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no checkpoint to go on from"):
        train(data, tmp_path / "new", SMALL, resume=True)


def test_a_head_for_new_classes_changes_nothing_else(trained: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", {f"{hue}/{n}.png": n for hue in ("red", "blue") for n in range(8)})
    options = replace(SMALL, weights=str(trained), layers="head", holdout=(), epochs=1)

    train(data, tmp_path / "two", options)

    before, after = weights_of(trained), weights_of(tmp_path / "two")
    changed = [name for name in before if before[name].shape != after[name].shape]
    assert changed == ["fc.weight", "fc.bias"]
    assert all(torch.equal(before[name], after[name]) for name in before if name not in changed)
    assert load_manifest(tmp_path / "two").labels == ("blue", "red")
    assert "the model" in card_of(tmp_path / "two")["begun_with"]
    assert card_of(tmp_path / "two")["random_at_first"] == changed


def test_pictures_without_label_and_unreadable_ones_are_told(tmp_path: Path) -> None:
    names = {f"{hue}/{n}.png": n for hue in ("red", "blue") for n in range(8)}
    data = write_data(tmp_path / "data", {**names, "nothing.png": 1})
    (data / "red" / "broken.png").write_bytes(b"no picture")
    told = Noting()

    train(data, tmp_path / "out", replace(SMALL, holdout=(), epochs=1), watcher=told)

    facts = card_of(tmp_path / "out")["data"]
    assert (facts["pictures"], facts["unlabelled"], len(facts["unreadable"])) == (18, 1, 1)
    assert [each.partition(" and ")[0] for each in told.notes] == [
        "1 pictures have no ground truth",
        "1 pictures cannot be read",
    ]


def test_test_data_of_their_own_are_held_out(data: Path, tmp_path: Path) -> None:
    test = write_data(tmp_path / "test", {f"{hue}/elsewhere/1.png": 9 for hue in HUES})

    train(data, tmp_path / "out", replace(SMALL, holdout=(), epochs=1), test=test)

    assert card_of(tmp_path / "out")["data"]["held_out_groups"] == ["elsewhere"]
    assert len(card_of(tmp_path / "out")["data"]["train_groups"]) == 3
    strange = write_data(tmp_path / "strange", {"violet/elsewhere/1.png": 9})
    with pytest.raises(SettingsError, match=r"has classes that .* has not: violet"):
        train(data, tmp_path / "no", replace(SMALL, holdout=()), test=strange)


@pytest.mark.parametrize("balance", ["weights", "sampler"])
def test_rare_classes_can_be_balanced(balance: Any, tmp_path: Path) -> None:
    names = {f"red/{n}.png": n for n in range(12)} | {f"blue/{n}.png": n for n in range(3)}
    options = replace(SMALL, holdout=(), epochs=1, balance=balance)

    train(write_data(tmp_path / "data", names), tmp_path / "out", options)

    assert card_of(tmp_path / "out")["data"]["train_samples"] == {"blue": 2, "red": 10}


def test_training_ends_early_if_nothing_gets_better(data: Path, tmp_path: Path) -> None:
    options = replace(SMALL, epochs=9, patience=1, learning_rate=0.0)

    outcome = train(data, tmp_path / "out", options)

    assert outcome.epochs - outcome.best_epoch == 1


def test_data_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    one = write_data(tmp_path / "one", {"red/1.png": 1})
    with pytest.raises(SettingsError, match="has one class alone, red"):
        train(one, tmp_path / "out", SMALL)
    none = write_data(tmp_path / "none", {"1.png": 1})
    with pytest.raises(SettingsError, match="has no ground truth: put pictures into a folder for each class"):
        train(none, tmp_path / "out", SMALL)
    with pytest.raises(SettingsError, match="give boxes in the column boxes"):
        train(one, tmp_path / "out", DETECTOR)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_refused(trained: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a shufflenet_v2_x0_5 , not a resnet18"):
        train(data, tmp_path / "out", replace(SMALL, model="resnet18", weights=str(trained)))
    file = str(trained / "shufflenet_v2_x0_5.pth")
    with pytest.raises(ModelUnavailable, match="these weights are of another network"):
        train(data, tmp_path / "out", replace(SMALL, model="resnet18", weights=file))
    with pytest.raises(SettingsError, match="--model r3d_18 is not for --task classify"):
        train(data, tmp_path / "out", replace(SMALL, model="r3d_18"))
    with pytest.raises(ModelUnavailable, match=r"has no weights 'WRONG'.*\n.*--weights none --layers all"):
        train(data, tmp_path / "out", replace(SMALL, weights="WRONG"))
    with pytest.raises(SettingsError, match="--layers head trains only the last layer"):
        train(data, tmp_path / "out", replace(SMALL, layers="head"))


def test_the_command_trains_with_fewer_bits_and_other_processes(data: Path, tmp_path: Path) -> None:
    chosen = "--model shufflenet_v2_x0_5 --weights none --layers all --size 32x40 --epochs 1 --batch 8 --threads 1"
    extras = "--amp bf16 --workers 2 --optimizer sgd --schedule step --augment strong --flip --holdout camera1 --json"
    arguments = ["train", str(data), *chosen.split(), *extras.split(), "--name", "hues", "--out", str(tmp_path / "out")]

    ran = CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["best_epoch"] == 1
    manifest = load_manifest(tmp_path / "out")
    assert (manifest.name, manifest.preprocessing.crop) == ("hues", (32, 40))


@pytest.mark.parametrize("size", ["big", "0", "3x"])
def test_a_size_that_is_none_is_refused(size: str, data: Path, tmp_path: Path) -> None:
    arguments = ["train", str(data), "--model", "resnet18", "--size", size, "--out", str(tmp_path / "out")]

    ran = CliRunner().invoke(app, arguments)

    assert ran.exit_code == 2
    assert "is no size" in ran.output
