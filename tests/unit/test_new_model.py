"""What `models new` makes of a file runs as its maker's network does; what the file does not say is asked for."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from typer.testing import CliRunner

from tests.support.models import best_classes, open_model
from worker.cli.models import app
from worker.domain.errors import ModelUnavailable, WorkerError
from worker.models.classifiers import take_grey
from worker.models.manifest import load_manifest
from worker.models.new_labels import NUMBERS
from worker.models.new_model import NewModel, Told, describe_file
from worker.models.new_preprocessing import ToldPreprocessing
from worker.models.ready import ready_model
from worker.models.store import sha256_of_file

CLASSES = ("cat", "coffee", "motorcycle", "rocket")


@pytest.fixture(scope="module")
def published() -> Path:
    return load_manifest(ready_model("mobilenet_v2")).file


def small(classes: int = 4) -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = torchvision.models.shufflenet_v2_x0_5(num_classes=classes)
    return network.eval()


def saved(folder: Path, checkpoint: object) -> Path:
    file = folder / "best.pth"
    torch.save(checkpoint, file)
    return file


def described(file: Path, *, architecture: str | None = "shufflenet_v2_x0_5", **told: Any) -> NewModel:
    numbers = {name: told.pop(name) for name in set(told) & set(ToldPreprocessing.__slots__)}
    return describe_file(
        file, "best", Told(architecture=architecture, preprocessing=ToldPreprocessing(**numbers), **told)
    )


def value(model: NewModel, field: str) -> Any:
    (line,) = [each for each in model.lines if each.field == field]
    return line.value


def source(model: NewModel, field: str) -> str:
    (line,) = [each for each in model.lines if each.field == field]
    return line.source


def refusal(file: Path, **told: Any) -> str:
    with pytest.raises(WorkerError) as caught:
        described(file, **told)
    return str(caught.value)


def written(model: NewModel, folder: Path) -> Path:
    folder.mkdir()
    model.write(folder)
    return folder


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"state_dict": {f"module.{name}": each for name, each in state.items()}, "epoch": 2},
        lambda state: {"state_dict": {f"model.{name}": each for name, each in state.items()}, "hyper_parameters": {}},
        lambda state: {"model": {f"_orig_mod.{name}": each for name, each in state.items()}, "optimizer": {"lr": 0.1}},
    ],
    ids=["bare", "DataParallel", "Lightning", "torch.compile"],
)
def test_real_weights_in_any_wrapping_see_what_is_in_a_photograph(
    published: Path, tmp_path: Path, wrapped: Callable[[dict[str, Any]], object]
) -> None:
    file = saved(tmp_path, wrapped(torch.load(published, weights_only=True)))
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{name}\n" for name in load_manifest(ready_model("mobilenet_v2")).labels))
    model = described(file, architecture="mobilenet_v2", labels=str(labels))
    folder = written(model, tmp_path / "best")
    assert best_classes(open_model(folder), "coffee")[0] == "espresso"
    assert load_manifest(folder).sha256 == sha256_of_file(file) == sha256_of_file(folder / "best.pth")


def test_a_file_of_torchvision_is_known_by_its_hash(published: Path) -> None:
    model = described(published, architecture="mobilenet_v2")
    assert model.labels.names[504] == "coffee mug"
    assert source(model, "labels") == "1000 names of torchvision's IMAGENET1K_V1"


def test_a_head_within_a_sequence_gives_the_answers_of_its_network(tmp_path: Path) -> None:
    network = small()
    network.fc = nn.Sequential(nn.Dropout(0.5), network.get_submodule("fc"))
    file = saved(tmp_path, network.state_dict())
    model = described(file, labels=NUMBERS)
    assert (model.file, "fc.1" in source(model, "weights")) == ("weights.safetensors", True)
    loaded = open_model(written(model, tmp_path / "best"))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    found = loaded.run(pixels)
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = network((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std).softmax(1).numpy()
    assert np.allclose(np.take_along_axis(expected, found["indices"], 1), found["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"class_to_idx": {name: index for index, name in enumerate(CLASSES)}}, "class_to_idx"),
        ({"classes": list(CLASSES)}, "classes"),
        ({"names": dict(enumerate(CLASSES))}, "names"),
        ({"hyper_parameters": {"class_names": list(CLASSES), "num_classes": 4}}, "hyper_parameters.class_names"),
        ({"args": argparse.Namespace(labels=CLASSES, classes=4)}, "args.labels"),
        ({"classes": list(CLASSES), "config": {"classes": list(CLASSES)}}, "config.classes"),
    ],
)
def test_class_names_in_a_checkpoint_are_used_and_told(tmp_path: Path, said: dict[str, Any], place: str) -> None:
    model = described(saved(tmp_path, {"state_dict": small().state_dict(), **said}))
    assert tuple(model.labels.names) == CLASSES
    assert source(model, "labels") == f"4 names from {place} in best.pth"


@pytest.mark.parametrize(
    ("checkpoint", "told", "text", "remedy"),
    [
        ({}, {}, "does not name its classes", "--labels numbers"),
        ({"classes": ["a", "b"]}, {}, "2 names from classes in best.pth, and best.pth needs 4", "a name for each"),
        (
            {"classes": list(CLASSES), "names": list("abcd")},
            {},
            "different class names at classes and names",
            "--labels",
        ),
        ({"ema": ...}, {"labels": NUMBERS}, "2 sets of weights that fit", "--entry ema"),
        ({"img_size": 192}, {"labels": NUMBERS}, "img_size in best.pth is for pictures of 192x192", "--crop 192x192"),
        ({"a": {"mean": [0.5] * 3}, "b": {"mean": [0.4] * 3}}, {"labels": NUMBERS}, "two things of mean", "--mean"),
        ({}, {"labels": NUMBERS, "crop": 300}, "--crop must be at most --resize", ""),
        ({}, {"labels": NUMBERS, "mean": (127.0,) * 3}, "for pixels from 0 to 255", "divide mean and std by 255"),
        ({}, {"labels": NUMBERS, "mean": (0.5,)}, "--mean has 1 numbers", "a number for each channel"),
        ({}, {"labels": NUMBERS, "preset": "V9"}, "shufflenet_v2_x0_5 has IMAGENET1K_V1", "name one of these"),
        ({}, {"labels": NUMBERS, "task": "detect"}, "not for shufflenet_v2_x0_5", "--task classify"),
        ({}, {"labels": NUMBERS, "entry": "x"}, "no weights of shufflenet_v2_x0_5 at x", "--entry state_dict"),
        ({}, {"labels": "nowhere.txt"}, "nowhere.txt cannot be read", "give one class name per line"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_told(
    tmp_path: Path, checkpoint: dict[str, Any], told: dict[str, Any], text: str, remedy: str
) -> None:
    state = small().state_dict()
    found = {name: state if each is ... else each for name, each in checkpoint.items()}
    told_text = refusal(saved(tmp_path, {"state_dict": state, **found}), **told)
    assert text in told_text
    assert remedy in told_text[told_text.index(text) :]
    assert "\n" not in told_text


def test_preprocessing_is_that_of_its_maker_then_the_checkpoint_then_torchvision(tmp_path: Path) -> None:
    said = {"args": argparse.Namespace(val_resize_size=240, val_crop_size=208, interpolation="bicubic")}
    file = saved(tmp_path, {"model": small().state_dict(), **said, "std": (0.2, 0.2, 0.2)})
    model = described(file, labels=NUMBERS, crop=192, mean=(0.5, 0.5, 0.5))
    assert value(model, "preprocessing") == {
        "resize": 240,
        "crop": 192,
        "interpolation": "bicubic",
        "antialias": True,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.2, 0.2, 0.2],
    }
    assert source(model, "preprocessing") == (
        "torchvision's for shufflenet_v2_x0_5 IMAGENET1K_V1; resize, interpolation, std from best.pth "
        "(args.val_resize_size, args.interpolation, std); crop, mean as you said"
    )


def test_a_size_that_agrees_is_no_question(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": small().state_dict(), "input_size": (3, 224, 224)})
    assert value(described(file, labels=NUMBERS), "preprocessing")["crop"] == 224


def test_a_preset_of_torchvision_can_be_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = torchvision.models.mobilenet_v2(num_classes=2).state_dict()
    file = saved(tmp_path, {name: torch.zeros(each.shape) for name, each in state.items()})
    resized = [
        value(described(file, architecture="mobilenet_v2", labels=NUMBERS, preset=each), "preprocessing")["resize"]
        for each in ("IMAGENET1K_V1", "IMAGENET1K_V2")
    ]
    assert resized == [256, 232]


def test_one_output_is_yes_or_no(tmp_path: Path) -> None:
    file = saved(tmp_path, small(1).state_dict())
    labels = tmp_path / "labels.txt"
    labels.write_text("no\nyes\n")
    model = described(file, labels=str(labels))
    assert value(model, "output") == "sigmoid"
    assert open_model(written(model, tmp_path / "best")).task.labels == ("no", "yes")
    labels.write_text("yes\n")
    assert refusal(file, labels=str(labels)).endswith("give two names, first of no, then of yes")


def test_a_network_of_grey_pictures_asks_for_its_statistics(tmp_path: Path) -> None:
    network = small()
    take_grey(network)
    file = saved(tmp_path, network.state_dict())
    assert "give --mean with one number, such as 0.1307" in (told := refusal(file, labels=NUMBERS))
    assert "give --std" in told
    model = described(file, labels=NUMBERS, mean=(0.5,), std=(0.3,))
    assert open_model(written(model, tmp_path / "best")).preprocessing.channels == "gray"


def test_transform_input_is_asked_for(tmp_path: Path) -> None:
    state = torchvision.models.googlenet(num_classes=3, init_weights=False).state_dict()
    file = saved(tmp_path, state)
    asked = refusal(file, architecture="googlenet", labels=NUMBERS)
    assert asked.endswith("--argument transform_input=false")
    model = described(file, architecture="googlenet", labels=NUMBERS, arguments={"transform_input": True})
    open_model(written(model, tmp_path / "best"))


@pytest.mark.parametrize("named", [None, "fasterrcnn_mobilenet_v3_large_fpn"])
def test_twins_are_told_apart_by_the_checkpoint_or_its_maker(tmp_path: Path, named: str | None) -> None:
    network = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights_backbone=None, num_classes=3)
    state = network.state_dict()
    assert "320_fpn and fasterrcnn_mobilenet_v3_large_fpn: name one, such as --architecture" in refusal(
        saved(tmp_path, state), architecture=None, labels=NUMBERS
    )
    checkpoint = {"model": state, "args": argparse.Namespace(model="fasterrcnn_mobilenet_v3_large_320_fpn")}
    model = described(saved(tmp_path, checkpoint), architecture=named, labels=NUMBERS)
    assert value(model, "architecture") == (named or "fasterrcnn_mobilenet_v3_large_320_fpn")
    assert value(model, "task") == "detect"


def test_the_background_of_a_detector_needs_a_name(tmp_path: Path) -> None:
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, num_classes=3)
    file, labels = saved(tmp_path, network.state_dict()), tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    asked = refusal(file, architecture="lraspp_mobilenet_v3_large", labels=str(labels))
    assert "put a line such as __background__ before the others" in asked
    labels.write_text("__background__\ncat\ndog\n")
    model = described(file, architecture="lraspp_mobilenet_v3_large", labels=str(labels))
    assert open_model(written(model, tmp_path / "best")).task.labels == ("__background__", "cat", "dog")


def test_a_network_of_clips_says_how_many_frames_it_takes(tmp_path: Path) -> None:
    file = saved(tmp_path, torchvision.models.video.mc3_18(num_classes=2).state_dict())
    model = described(file, architecture="mc3_18", labels=NUMBERS)
    assert (value(model, "task"), dict(value(model, "clip"))) == ("clip", {"frames": 16, "rate": 15.0})


@pytest.mark.parametrize(
    "names", [("1 cat", "2 dog"), ("0: cat", "1: dog"), ("[cat", "dog"), ("a\nb", "c"), ("7", "5")]
)
def test_class_names_that_look_like_something_else_survive(tmp_path: Path, names: tuple[str, str]) -> None:
    file = saved(tmp_path, {"model": small(2).state_dict(), "classes": list(names)})
    assert load_manifest(written(described(file), tmp_path / "best")).labels == names


class Means(nn.Module):
    """Returns the means of three channels."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(dim=(2, 3))


def test_a_program_needs_all_that_it_does_not_say(tmp_path: Path) -> None:
    program = torch.export.export(
        Means().eval(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
    )
    file, labels = tmp_path / "means.pt2", tmp_path / "labels.txt"
    torch.export.save(program, file)
    labels.write_text("red\ngreen\nblue\n")
    told: dict[str, Any] = {"architecture": None}
    for option, given in (
        ("--output logits", {"output": "logits"}),
        ("--labels FILE", {"labels": str(labels)}),
        ("--resize, --crop, --mean, --std", {"resize": 20, "crop": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3}),
    ):
        assert option in refusal(file, **told)
        told |= given
    assert "is for weights" in refusal(file, **{**told, "architecture": "resnet18"})
    assert open_model(written(described(file, **told), tmp_path / "means")).task.labels == ("red", "green", "blue")


def test_what_is_no_file_of_a_network_is_told(tmp_path: Path) -> None:
    pointer = tmp_path / "best.pth"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert refusal(pointer).endswith("run git lfs pull in its repository")
    assert "a folder" in refusal(tmp_path)
    assert refusal(tmp_path / "nothing.pth").endswith("put the model's file there")
    assert "save the weights alone" in refusal(saved(tmp_path, small()))


def new(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


def test_the_command_writes_a_folder_and_says_what_to_do_next(tmp_path: Path) -> None:
    file = saved(tmp_path, {"state_dict": small().state_dict(), "classes": list(CLASSES)})
    folder = tmp_path / "my model"
    ran = new(
        file, "--out", folder, "--architecture", "shufflenet_v2_x0_5", "--mean", "0.5,0.5,0.5", "--crop", "200x220"
    )
    assert ran.exit_code == 0, ran.output
    assert "cat, coffee, motorcycle, rocket" in ran.output
    assert "vision-worker replay PICTURES --model" in ran.output
    manifest = load_manifest(folder)
    assert (manifest.name, manifest.preprocessing.crop, manifest.preprocessing.mean) == (
        "my-model",
        (200, 220),
        (0.5,) * 3,
    )
    assert "# 4 names from classes in best.pth\nlabels: labels.txt\n" in (folder / "model.yaml").read_text()
    again = new(file, "--out", folder)
    assert "nothing is overwritten" in str(again.exception)


def test_a_model_that_does_not_run_leaves_no_folder(tmp_path: Path) -> None:
    network = small()
    nn.init.constant_(network.fc.weight, torch.nan)  # type: ignore[union-attr,arg-type]
    file = saved(tmp_path, network.state_dict())
    ran = new(file, "--out", tmp_path / "best", "--architecture", "shufflenet_v2_x0_5", "--labels", "numbers")
    assert isinstance(ran.exception, ModelUnavailable)
    assert str(ran.exception).startswith("best.pth has NaN or infinity in fc.weight")
    assert [each.name for each in tmp_path.iterdir()] == ["best.pth"]


def test_programs_can_read_what_was_made(tmp_path: Path) -> None:
    file = saved(tmp_path, {"state_dict": small().state_dict(), "classes": list(CLASSES)})
    ran = new(file, "--out", tmp_path / "best", "--architecture", "shufflenet_v2_x0_5", "--json")
    facts = json.loads(ran.stdout)
    assert (facts["labels"], facts["architecture"]) == (list(CLASSES), "shufflenet_v2_x0_5")
    assert new(file, "--out", tmp_path / "other", "--crop", "big").exit_code == 2
