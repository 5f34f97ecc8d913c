import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.models import small_manifest, write_manifest
from worker.domain.errors import SettingsError
from worker.domain.results import ModelIdentity
from worker.models.manifest import load_manifest, manifest_schema

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
            "mean": [123.6, 1, 1],
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
    assert f"{file}: preprocessing.mean must be three numbers from 0 to 1, not [123.6, 1, 1]" in caught.value.faults


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
    ({"output": "scores"}, "output must be logits or probabilities"),
    ({"labels": []}, "labels must be"),
    ({"labels": ["one", ""]}, "labels must be"),
    ({"preprocessing": {"std": [0.1, float("nan"), 0.1]}}, "preprocessing.std must be three numbers"),
    ({"preprocessing": {"resize": [12]}}, "preprocessing.resize must be the pixels of the shorter side"),
    ({"preprocessing": {"crop": [8, 0]}}, "preprocessing.crop must be the pixels of a square's side"),
    ({"preprocessing": {"mean": [0.1, 0.1]}}, "preprocessing.mean must be three numbers"),
    ({"preprocessing": {"extra": 1}}, "preprocessing.extra is not a field; known fields are resize, crop"),
]


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
    with pytest.raises(SettingsError, match=r"line 2 of .*labels\.txt is empty"):
        load_manifest(write_manifest(tmp_path, small_manifest(labels="labels.txt")))


@pytest.mark.parametrize("text", ["", "- a list\n", "name: [", "\xff"])
def test_what_is_no_manifest_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"model\.yaml: (the file must be a mapping|cannot be read as YAML)"):
        load_manifest(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file; a model is a folder with a model\.yaml"):
        load_manifest(tmp_path)
    with pytest.raises(SettingsError, match=r"labels: .*nowhere\.txt cannot be read"):
        load_manifest(write_manifest(tmp_path, small_manifest(labels="nowhere.txt")))


def test_the_stored_schema_is_the_codes() -> None:
    fresh = json.dumps(manifest_schema(), indent=2) + "\n"
    assert SCHEMA.read_text() == fresh, f"write the output of worker.models.manifest.manifest_schema() to {SCHEMA}"


def test_schema_and_code_agree(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(manifest_schema())
    weights = small_manifest(program=None, architecture="resnet18", weights="w.pth")
    for document in (small_manifest(), small_manifest(exported_from="b" * 64), weights):
        validator.validate(document)
        load_manifest(write_manifest(tmp_path, document))
    for changes, fault in WRONG:
        if "nan" not in str(changes):  # JSON has none
            assert not validator.is_valid(small_manifest(**changes)), fault
