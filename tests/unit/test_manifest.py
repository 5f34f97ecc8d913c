import json
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from tests.support.models import SMALL, small_manifest, write_manifest
from worker.domain.clips import ClipShape
from worker.domain.errors import SettingsError
from worker.domain.networks import CnnRnnShape, Recurrence
from worker.domain.results import ModelIdentity
from worker.models.manifest import load_manifest
from worker.models.manifest import write_manifest as write_whole
from worker.models.manifest_fields import TaskName, manifest_schema

SCHEMA = Path(__file__).parents[2] / "schemas" / "model-manifest.v1.json"


def test_a_whole_manifest(tmp_path: Path) -> None:
    manifest = load_manifest(write_manifest(tmp_path, small_manifest()))
    assert manifest.identity == ModelIdentity("small", "a" * 12)
    assert manifest.file == tmp_path / "small.pt2"
    assert manifest.architecture is None
    assert manifest.labels == ("one", "two", "two")
    assert manifest.preprocessing.std == (0.3, 0.4, 0.5)


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, small_manifest())
    assert load_manifest(tmp_path / "model.yaml") == load_manifest(tmp_path)


def test_paths_are_relative_to_the_manifest_not_to_where_the_worker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(tmp_path, small_manifest())
    monkeypatch.chdir(tmp_path.parent)
    assert load_manifest(Path(tmp_path.name)).file == tmp_path / "small.pt2"


def test_labels_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("eins\r\nzwei \ndrei")
    assert load_manifest(write_manifest(tmp_path, small_manifest(labels="labels.txt"))).labels == (
        "eins",
        "zwei",
        "drei",
    )


def test_a_programs_version_is_that_of_the_weights_it_was_exported_from(tmp_path: Path) -> None:
    once, again = ("1" * 64, "2" * 64)
    versions = {
        load_manifest(write_manifest(tmp_path, small_manifest(sha256=each, exported_from="b" * 64))).identity
        for each in (once, again)
    }
    assert versions == {ModelIdentity("small", "b" * 12)}


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    document = {
        "name": "a/b",
        "sha256": 1234,
        "labels": [False, True],
        "bogus": 1,
        "program": "",
        "preprocessing": {
            "resize": 224.5,
            "crop": 0,
            "interpolation": "cubic",
            "mean": ["red", 1, 1],
            "std": [0, 1, 1],
        },
    }
    with pytest.raises(SettingsError) as caught:
        load_manifest(write_manifest(tmp_path, document))
    file = tmp_path / "model.yaml"
    assert [fault.removeprefix(f"{file}: ").split()[0] for fault in caught.value.faults] == [
        "bogus",
        "name",
        "program",
        "sha256",
        "labels",
        "preprocessing.resize",
        "preprocessing.crop",
        "preprocessing.interpolation",
        "preprocessing.antialias",
        "preprocessing.mean",
        "preprocessing.std",
        "output",
    ]
    assert all(fault.startswith(f"{file}: ") for fault in caught.value.faults)
    told = "preprocessing.mean must be a list of a number for each channel: three, or one for channels: gray"
    assert f"{file}: {told}, not ['red', 1, 1]" in caught.value.faults


VALUES: dict[str, Any] = {
    "task": "frame_values",
    "clip": {"frames": 100, "rate": 25, "middle": 50},
    "labels": ["none", "cut"],
}
WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"program": None}, "give architecture and weights, or program alone, not none"),
    ({"architecture": "resnet18"}, "alone, not architecture and program"),
    ({"weights": "w.pth"}, "alone, not program and weights"),
    ({"program": None, "architecture": "resnet18"}, "alone, not architecture"),
    (
        {"program": None, "architecture": "resnet18", "weights": "w.pth", "exported_from": "b" * 64},
        "exported_from is only for a program",
    ),
    ({"sha256": "A" * 64}, "sha256 must be 64 hex digits"),
    ({"output": "scores"}, "output must be logits, probabilities or sigmoid"),
    ({"labels": []}, "labels must be"),
    ({"labels": ["one", ""]}, "labels must be"),
    ({"preprocessing": {"std": [0.1, float("nan"), 0.1]}}, "preprocessing.std must be a list of a number above 0"),
    ({"preprocessing": {"resize": [12]}}, "preprocessing.resize must be the pixels of the shorter side"),
    ({"preprocessing": {"crop": [8, 0]}}, "preprocessing.crop must be the pixels of a square's side"),
    (
        {"preprocessing": {"mean": [0.1, 0.1]}},
        "preprocessing.mean has 2 numbers, and preprocessing.channels: rgb needs 3",
    ),
    (
        {"preprocessing": {"mean": [0.1, 0.1, float("nan")]}},
        "preprocessing.mean is [0.1, 0.1, nan]: give finite numbers",
    ),
    (
        {"preprocessing": {"std": [0.1, float("inf"), 0.1], "max_value": 255}},
        "preprocessing.std is [0.1, inf, 0.1]: give",
    ),
    ({"preprocessing": {"mean": [123.6, 116.3, 103.5]}}, "preprocessing.mean is [123.6, 116.3, 103.5], which is for"),
    ({"preprocessing": {"std": [58.4, 57.1, 57.4]}}, "for pixels from 0 to 255: set preprocessing.max_value: 255, or"),
    ({"preprocessing": {"std": [0.1, 0, 0.1]}}, "preprocessing.std must be a list of a number above 0"),
    ({"preprocessing": {"max_value": 2}}, "preprocessing.max_value must be 1 or 255"),
    ({"preprocessing": {"channels": "grey"}}, "preprocessing.channels must be rgb, bgr or gray"),
    (
        {"preprocessing": {"channels": "gray", "mean": [0.5], "std": [0.5, 0.5, 0.5]}},
        "preprocessing.std has 3 numbers, and preprocessing.channels: gray needs 1: give a number for each channel",
    ),
    (
        {"preprocessing": {"crop": "none"}},
        "preprocessing.crop none leaves pictures of many shapes: set preprocessing.resize",
    ),
    ({"preprocessing": {"crop": "all"}}, "preprocessing.crop must be the pixels of a square's side"),
    ({"preprocessing": {"fill": 114}}, "preprocessing.fill is only for padding: set preprocessing.pad: true, or leave"),
    ({"preprocessing": {"fill": 256, "pad": True, "crop": 12}}, "preprocessing.fill must be the colour of the padding"),
    ({"preprocessing": {"pad": "left", "crop": 12}}, "preprocessing.pad must be true, center or false"),
    ({"preprocessing": {"interpolation": "lanczos"}}, "must be bilinear, bicubic, nearest or nearest-exact, not"),
    ({"preprocessing": {"extra": 1}}, "preprocessing.extra is not a field; known fields are resize, crop"),
]


WRONG += [
    ({"clip": {"frames": 16, "rate": 15}}, "clip is only for the tasks clip and frame_values"),
    ({"task": "clip"}, "clip is missing; task clip needs its frames and rate"),
    ({"task": "caption"}, "task must be classify (a picture), multi_label"),
    ({"task": "clip", "clip": 16}, "clip must be a mapping, not 16"),
    ({"task": "clip", "clip": {"frames": 1, "rate": 15}}, "clip.frames must be a whole number of frames, at least 2"),
    ({"task": "clip", "clip": {"frames": 16, "rate": 0}}, "clip.rate must be the frames a second"),
    ({"task": "clip", "clip": {"frames": 16}}, "clip.rate is missing"),
    ({"task": "clip", "clip": {"frames": 16, "rate": 15, "middle": 8}}, "clip.middle is not for task clip"),
    ({"task": "clip", "clip": {"frames": 16, "rate": 15, "step": 2}}, "clip.step is not a field; known fields are"),
    (
        {"task": "clip", "clip": {"frames": 16, "rate": 15}, "threshold": 0.4},
        "for the tasks frame_values, detect and multi_label, and for output: sigmoid, not for clip: leave it out",
    ),
    (VALUES | {"clip": {"frames": 100, "rate": 25}}, "clip.middle is missing for task frame_values"),
    (VALUES | {"threshold": 1.5}, "threshold must be a number from 0 to 1"),
    (VALUES | {"labels": ["none", "cut", "fade"]}, "labels must be two different names"),
    (VALUES | {"labels": ["cut", "cut"]}, "labels must be two different names"),
]


CNN_RNN: dict[str, Any] = {
    "program": None,
    "architecture": "cnn_rnn",
    "weights": "w.pth",
    "network": {"backbone": "resnet18"},
    "task": "recurrent",
    "recurrent": {"silence_ms": 500},
}
WRONG += [
    ({"recurrent": {}}, "recurrent is only for the task recurrent, not for classify"),
    ({"network": {"backbone": "resnet18"}}, "network is only for the architecture cnn_rnn"),
    ({"task": "recurrent", "recurrent": {}}, "task recurrent needs architecture: cnn_rnn"),
    (CNN_RNN | {"recurrent": None}, "recurrent is missing; task recurrent needs it"),
    (CNN_RNN | {"network": None}, "network is missing; architecture cnn_rnn needs its backbone"),
    (CNN_RNN | {"network": {"backbone": "resnet18", "rnn": "rnn"}}, "network.rnn must be gru or lstm"),
    (CNN_RNN | {"network": {"backbone": "resnet18", "grid": 3}}, "network.grid is only for network.layer"),
    (CNN_RNN | {"recurrent": {"silence_ms": 0}}, "recurrent.silence_ms must be the milliseconds"),
    (CNN_RNN | {"recurrent": None, "task": "segment", "output": None}, "architecture cnn_rnn is for the tasks clip"),
    ({"most": 3}, "most is only for the task detect, not for classify"),
    ({"task": "segment", "labels": None}, "labels is missing; give a file with a class name per line"),
    ({"task": "recurrent", "output": None}, "output is missing; give logits, probabilities or sigmoid"),
]


BINARY: dict[str, Any] = {"output": "sigmoid", "labels": ["empty", "taken"]}
SEVERAL: dict[str, Any] = {"task": "multi_label", "output": "sigmoid", "labels": ["hat", "glasses", "beard"]}
CLIPS: dict[str, Any] = {"task": "clip", "clip": {"frames": 16, "rate": 15}}
WRONG += [
    (
        {"labels": ["one"]},
        "one name, and every picture would be predicted to be it: give two names and output: sigmoid, or",
    ),
    ({"labels": ["one"], "output": "probabilities"}, "labels has one name"),
    (CLIPS | {"labels": ["one"]}, "give two names and output: sigmoid"),
    (
        {"task": "segment", "output": None, "labels": ["background"]},
        "the first name is that of the background, so give",
    ),
    ({"task": "detect", "output": None, "labels": ["background"]}, "the first name is that of the background, so give"),
    (
        {"output": "sigmoid"},
        "and there are 3: for several classes in a picture, set task: multi_label; for one class of",
    ),
    (
        CLIPS | {"output": "sigmoid"},
        "several classes at a time are for the task multi_label alone, not for clip; for one",
    ),
    (
        {"output": "sigmoid", "labels": ["one"]},
        "labels must be two different names for output: sigmoid, which is one score",
    ),
    ({"output": "sigmoid", "labels": ["one", "one"]}, "labels must be two different names for output: sigmoid"),
    (
        BINARY | {"threshold": [0.5, 0.5]},
        "threshold must be one number for the task classify: a list is only for the task",
    ),
    (BINARY | {"threshold": -0.1}, "threshold must be a number from 0 to 1"),
    (BINARY | {"threshold": float("nan")}, "threshold must be a number from 0 to 1"),
    (
        {"threshold": 0.5},
        "threshold is only for the tasks frame_values, detect and multi_label, and for output: sigmoid",
    ),
    (
        SEVERAL | {"output": "logits"},
        "the task multi_label decides each on its own: set output: sigmoid, or probabilities",
    ),
    (
        SEVERAL | {"labels": ["hat", "hat"]},
        "labels must be different names for the task multi_label, and 'hat' is there",
    ),
    (SEVERAL | {"threshold": [0.5, 1.5, 0.5]}, "threshold must be a number from 0 to 1"),
    (SEVERAL | {"threshold": []}, "threshold must be a number from 0 to 1"),
    (SEVERAL | {"clip": CLIPS["clip"]}, "clip is only for the tasks clip and frame_values"),
]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (BINARY, {"outputs": 1, "threshold": 0.5, "thresholds": None}),
        (BINARY | {"threshold": 0}, {"outputs": 1, "threshold": 0.0}),
        (BINARY | CLIPS | {"threshold": 0.3}, {"outputs": 1, "threshold": 0.3}),
        (SEVERAL, {"outputs": 3, "threshold": 0.5, "thresholds": None}),
        (SEVERAL | {"threshold": 0.25}, {"outputs": 3, "threshold": 0.25, "thresholds": None}),
        (SEVERAL | {"threshold": [0.5, 0.25, 1]}, {"outputs": 3, "thresholds": (0.5, 0.25, 1.0)}),
        (SEVERAL | {"labels": ["hat"], "output": "probabilities"}, {"outputs": 1, "decides_each_class": True}),
        (SEVERAL | {"labels": ["hat", "glasses"]}, {"outputs": 2, "decides_each_class": True}),
        ({"output": "probabilities"}, {"outputs": 3, "decides_each_class": False}),
    ],
)
def test_a_manifest_of_other_outputs(
    tmp_path: Path, changes: Mapping[str, Any], expected: Mapping[str, object]
) -> None:
    document = small_manifest(**changes)
    jsonschema.Draft202012Validator(manifest_schema()).validate(document)
    found = load_manifest(write_manifest(tmp_path, document))
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_threshold_for_each_label(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="threshold has 2 numbers for 3 labels: give one number, or one for each"):
        load_manifest(write_manifest(tmp_path, small_manifest(**SEVERAL | {"threshold": [0.5, 0.5]})))


def test_where_pictures_are_padded_nothing_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"crop must be preprocessing\.resize where pictures are padded"):
        load_manifest(write_manifest(tmp_path, small_manifest(preprocessing={"pad": True})))
    numbers = {"pad": True, "resize": [8, 12], "crop": [8, 12]}
    assert load_manifest(write_manifest(tmp_path, small_manifest(preprocessing=numbers))).preprocessing.pad


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"resize": [8, 12], "crop": "none"}, {"resize": (8, 12), "crop": (8, 12)}),
        ({"resize": 12, "crop": "none", "pad": True}, {"resize": 12, "crop": 12, "pad": True}),
        ({"resize": [8, 12], "crop": "none", "pad": "center", "fill": 114}, {"pad": "center", "fill": (114, 114, 114)}),
        ({"crop": 12, "pad": True, "fill": [1, 2, 3]}, {"fill": (1, 2, 3)}),
        ({"channels": "gray", "mean": [0.1], "std": [0.3]}, {"channels": "gray", "mean": (0.1,), "std": (0.3,)}),
        ({"channels": "bgr"}, {"channels": "bgr"}),
        (
            {"max_value": 255, "mean": [123.675, 0, -1], "std": [58, 1, 255]},
            {"max_value": 255, "mean": (123.675, 0, -1)},
        ),
        ({"mean": [-1, 0, 1]}, {"mean": (-1, 0, 1)}),
        ({"interpolation": "nearest-exact"}, {"interpolation": "nearest-exact"}),
    ],
)
def test_a_manifest_of_other_preprocessing(
    tmp_path: Path, given: Mapping[str, Any], expected: Mapping[str, object]
) -> None:
    document = small_manifest(preprocessing=dict(given))
    jsonschema.Draft202012Validator(manifest_schema()).validate(document)
    found = load_manifest(write_manifest(tmp_path, document)).preprocessing
    assert {name: getattr(found, name) for name in expected} == expected
    (tmp_path / "small.pt2").write_bytes(b"a program")
    write_whole(tmp_path, {"name": "small", "program": "small.pt2"}, labels="ab", preprocessing=found)
    assert load_manifest(tmp_path).preprocessing == found


def test_torchvisions_detectors_take_no_grey_pictures(tmp_path: Path) -> None:
    document = small_manifest(
        task="detect",
        program=None,
        architecture="fcos_resnet50_fpn",
        weights="w.pth",
        output=None,
        preprocessing={"channels": "gray", "mean": [0], "std": [1]},
    )
    with pytest.raises(SettingsError, match=r"channels gray: torchvision's detectors take three channels; set rgb"):
        load_manifest(write_manifest(tmp_path, document))


def test_a_manifest_of_a_cnn_rnn(tmp_path: Path) -> None:
    parts: dict[str, Any] = {
        "backbone": "resnet18",
        "rnn": "lstm",
        "hidden": 64,
        "layers": 2,
        "layer": "layer2",
        "grid": 4,
    }
    document = small_manifest(**CNN_RNN | {"network": parts, "recurrent": {"rate": 5, "silence_ms": 500}})
    manifest = load_manifest(write_manifest(tmp_path, document))
    assert manifest.network == CnnRnnShape(**parts)
    assert manifest.recurrence == Recurrence(rate=5.0, silence_ms=500)
    assert manifest.input_shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("task", "labels"), [("detect", ["none", "cup"]), ("segment", ["none", "cup"]), ("embed", None)]
)
def test_tasks_without_scores_need_no_output(tmp_path: Path, task: TaskName, labels: list[str] | None) -> None:
    manifest = load_manifest(write_manifest(tmp_path, small_manifest(task=task, labels=labels, output=None)))
    assert (manifest.task, manifest.labels, manifest.threshold, manifest.most) == (task, tuple(labels or ()), 0.5, 100)


@pytest.mark.parametrize("middle", [49, 102])
def test_the_middle_lies_in_the_middle(tmp_path: Path, middle: int) -> None:
    document = small_manifest(**VALUES | {"clip": {"frames": 100, "rate": 25, "middle": middle}})
    with pytest.raises(SettingsError, match=rf"clip\.middle must be clip\.frames, 100, or an .* not {middle}"):
        load_manifest(write_manifest(tmp_path, document))


def test_a_manifest_of_clips(tmp_path: Path) -> None:
    document = small_manifest(task="clip", clip={"frames": 16, "rate": 7.5})
    manifest = load_manifest(write_manifest(tmp_path, document))
    assert (manifest.task, manifest.clip) == ("clip", ClipShape(16, 7.5))
    assert manifest.input_shape == (16, 8, 8, 3)


@pytest.mark.parametrize(("threshold", "expected"), [(None, 0.5), (0, 0.0), (0.3, 0.3)])
def test_a_manifest_of_frame_values(tmp_path: Path, threshold: float | None, expected: float) -> None:
    manifest = load_manifest(write_manifest(tmp_path, small_manifest(**VALUES, threshold=threshold)))
    assert manifest.task == "frame_values"
    assert (manifest.clip, manifest.threshold) == (ClipShape(100, 25.0, 50), expected)


@pytest.mark.parametrize(
    ("task", "clip", "labels"),
    [("classify", None, "abc"), ("clip", ClipShape(16, 15.0), "abc"), ("frame_values", ClipShape(100, 25.0, 50), "ab")],
)
def test_a_written_manifest_is_read_back(tmp_path: Path, task: TaskName, clip: ClipShape | None, labels: str) -> None:
    (tmp_path / "small.pt2").write_bytes(b"a program")
    numbers = replace(SMALL, resize=(27, 48), crop=(27, 48))
    network = {"name": "small", "program": "small.pt2"}
    write_whole(tmp_path, network, labels=labels, preprocessing=numbers, task=task, clip=clip)
    found = load_manifest(tmp_path)
    assert (found.task, found.clip, found.labels, found.preprocessing) == (task, clip, tuple(labels), numbers)


@pytest.mark.parametrize(("changes", "fault"), WRONG)
def test_a_single_fault(tmp_path: Path, changes: Mapping[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_manifest(write_manifest(tmp_path, small_manifest(**changes)))
    (found,) = caught.value.faults
    assert fault in found


def test_a_crop_larger_than_the_picture_would_be_framed_in_black(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"preprocessing\.crop must be at most preprocessing\.resize"):
        load_manifest(write_manifest(tmp_path, small_manifest(preprocessing={"crop": 13})))


@pytest.mark.parametrize(
    ("resize", "crop", "fits"),
    [
        ([128, 171], [112, 112], True),
        ([128, 171], 128, True),
        (256, [256, 224], True),
        ([128, 171], 129, False),
        ([128, 171], [112, 172], False),
        (256, [224, 257], False),
    ],
)
def test_sides_may_be_height_and_width(tmp_path: Path, resize: object, crop: object, fits: bool) -> None:  # noqa: FBT001
    write_manifest(tmp_path, small_manifest(preprocessing={"resize": resize, "crop": crop}))
    with nullcontext() if fits else pytest.raises(SettingsError, match=r"preprocessing\.crop must be at most"):
        found = load_manifest(tmp_path).preprocessing
        assert [found.resize, found.crop] == [
            tuple(each) if isinstance(each, list) else each for each in (resize, crop)
        ]


def test_an_empty_line_among_the_labels_would_shift_every_class(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("one\n\nthree\n")
    with pytest.raises(SettingsError, match=r"labels: .*labels\.txt: line 2 is empty"):
        load_manifest(write_manifest(tmp_path, small_manifest(labels="labels.txt")))


@pytest.mark.parametrize("text", ["", "- a list\n", "name: [", "\xff"])
def test_what_is_no_manifest_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"model\.yaml: (the file must be a mapping|cannot be read as YAML)"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(("name", "content"), [("weights.pth", {}), ("model.yaml", {})])
def test_a_file_of_weights_is_no_manifest(tmp_path: Path, name: str, content: object) -> None:
    torch.save(content, tmp_path / name)
    with pytest.raises(SettingsError, match=rf"{name} is a file of torch\.save: make .* models new .*{name}"):
        load_manifest(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_a_manifest(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, small_manifest()) / "model.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_manifest(tmp_path).name == "small"


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file; a model is a folder with a model\.yaml"):
        load_manifest(tmp_path)
    with pytest.raises(SettingsError, match=r"labels: .*nowhere\.txt cannot be read"):
        load_manifest(write_manifest(tmp_path, small_manifest(labels="nowhere.txt")))


def test_the_stored_schema_is_the_codes() -> None:
    fresh = json.dumps(manifest_schema(), indent=2) + "\n"
    assert SCHEMA.read_text() == fresh, (
        f"write the output of worker.models.manifest_fields.manifest_schema() to {SCHEMA}"
    )


def test_schema_and_code_agree(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(manifest_schema())
    weights = small_manifest(program=None, architecture="resnet18", weights="w.pth")
    clips = small_manifest(task="clip", clip={"frames": 16, "rate": 15})
    values = small_manifest(**VALUES, threshold=0.4)
    for document in (small_manifest(), small_manifest(exported_from="b" * 64), weights, clips, values):
        validator.validate(document)
        load_manifest(write_manifest(tmp_path, document))
    for changes, fault in [*WRONG, *MISPLACED]:
        if not re.search(r"\b(nan|inf)\b", str(changes)):  # JSON has neither
            assert not validator.is_valid(small_manifest(**changes)), fault


# What weights, programs and builders need to be told.

WEIGHTS: dict[str, Any] = {"program": None, "architecture": "vit_b_16", "weights": "w.pth"}


def test_arguments_an_entry_and_an_output(tmp_path: Path) -> None:
    arguments = {"image_size": 384, "transform_input": True, "dropout": 0.5, "layers": [1, 2], "kind": "x"}
    document = small_manifest(**WEIGHTS, arguments=arguments, weights_entry="state_dict_ema")
    manifest = load_manifest(write_manifest(tmp_path, document))
    assert (manifest.arguments, manifest.weights_entry, manifest.output_name) == (arguments, "state_dict_ema", None)
    assert isinstance(manifest.arguments["image_size"], int)
    assert load_manifest(write_manifest(tmp_path, small_manifest(output_name="1"))).output_name == "1"


MISPLACED: list[tuple[Mapping[str, Any], str]] = [
    ({"arguments": {}}, "arguments is only for an architecture with weights: leave it out for a program"),
    ({"weights_entry": "ema"}, "weights_entry is only for an architecture with weights"),
    (WEIGHTS | {"output_name": "0"}, "output_name is only for a program: leave it out for an architecture"),
    ({"output_name": 0}, "output_name must be which of several outputs"),
    (WEIGHTS | {"arguments": ["image_size"]}, "arguments must be a mapping"),
    (WEIGHTS | {"arguments": {"image_size": None}}, "arguments must be a mapping"),
    (WEIGHTS | {"arguments": {"num_classes": 3}}, "arguments.num_classes follows from the other fields: leave it out"),
    (WEIGHTS | {"arguments": {"weights": "DEFAULT"}}, "arguments.weights follows from the other fields"),
    ({"labels": {"0": "one", "1": ""}}, "labels must be"),
]


@pytest.mark.parametrize(("changes", "fault"), MISPLACED)
def test_what_is_for_weights_alone_or_for_a_program_alone(
    tmp_path: Path, changes: Mapping[str, Any], fault: str
) -> None:
    test_a_single_fault(tmp_path, changes, fault)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_the_weights_do_not_say_the_manifest_must(tmp_path: Path, name: str) -> None:
    plain = WEIGHTS | {"architecture": name}
    recurrent = CNN_RNN | {"network": {"backbone": name}}
    for document in (plain, recurrent):
        with pytest.raises(SettingsError, match=rf"arguments\.transform_input is missing: .* publishes for {name}"):
            load_manifest(write_manifest(tmp_path, small_manifest(**document)))
        for said in (True, False):
            load_manifest(write_manifest(tmp_path, small_manifest(**document, arguments={"transform_input": said})))
    # Pixels that are brought to what the network would make of them need nothing more.
    load_manifest(
        write_manifest(tmp_path, small_manifest(**plain, preprocessing={"mean": [0.5] * 3, "std": [0.5] * 3}))
    )
