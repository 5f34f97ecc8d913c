import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.models import small_manifest, write_manifest
from worker.domain.errors import SettingsError
from worker.models.labels import LabelsFault, labels_from, labels_of
from worker.models.manifest import load_manifest

NAMES = ("cat", "hot dog", "bird")


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_text(text, encoding=encoding)
    return file


JSON_FORMS: list[Any] = [
    list(NAMES),
    {"0": "cat", "1": "hot dog", "2": "bird"},
    {"2": "bird", "0": "cat", "1": "hot dog"},
    {"cat": 0, "hot dog": 1, "bird": 2},
    {"id2label": {"0": "cat", "1": "hot dog", "2": "bird"}, "model_type": "resnet", "num_channels": 3},
    {"label2id": {"cat": 0, "hot dog": "1", "bird": 2}},
    {"class_to_idx": {"bird": 2, "cat": 0, "hot dog": 1}},
    {"classes": list(NAMES), "lr": 0.1},
    {"0": ["n01", "cat"], "1": ["n02", "hot dog"], "2": ["n03", "bird"]},
    [["n01", "cat"], ["n02", "hot dog"], ["n03", "bird"]],
    [{"id": 1, "name": "hot dog"}, {"id": 0, "name": "cat"}, {"id": 2, "name": "bird"}],
    {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "hot dog"}, {"id": 2, "name": "bird"}]},
]


@pytest.mark.parametrize("form", JSON_FORMS)
def test_names_in_json_and_in_yaml(tmp_path: Path, form: Any) -> None:
    for name in ("labels.json", "labels.txt"):
        assert labels_from(written(tmp_path, name, json.dumps(form))) == NAMES
    assert labels_from(written(tmp_path, "labels.yaml", yaml.safe_dump(form))) == NAMES


@pytest.mark.parametrize(
    "text",
    [
        "names:\n  0: cat\n  1: hot dog\n  2: bird\nnc: 3\npath: ../data\n",
        "0: cat\n1: hot dog\n2: bird\n",
        "- cat\n- hot dog\n- bird\n",
        "names: [cat, hot dog, bird]\n",
    ],
)
def test_names_in_yaml(tmp_path: Path, text: str) -> None:
    assert labels_from(written(tmp_path, "data.yaml", text)) == NAMES


@pytest.mark.parametrize(
    "text",
    [
        "cat\nhot dog\nbird",
        "cat\r\nhot dog \r\nbird\r\n",
        "cat\nhot dog\nbird\n\n\n",
        "0 cat\n1 hot dog\n2 bird\n",
        "0: cat\n1: hot dog\n2: bird\n",
        "0\tcat\n1\thot dog\n2\tbird\n",
        "0,cat\n1,hot dog\n2,bird\n",
        "2 bird\n0 cat\n1 hot dog\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_names_by_line(tmp_path: Path, text: str, encoding: str) -> None:
    assert labels_from(written(tmp_path, "labels.txt", text, encoding)) == NAMES


@pytest.mark.parametrize(
    "names",
    [("2 doors", "4 doors"), ("0", "1", "2"), ("7 eleven", "bird"), ("n0144 tench", "n0148 goldfish"), ("1 euro",)],
)
def test_numbers_that_are_no_indexes_belong_to_the_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert labels_from(written(tmp_path, "labels.txt", "\n".join(names))) == names


def test_digits_as_names_in_either_direction() -> None:
    assert labels_of({"0": 0, "1": 1}) == labels_of(["0", "1"]) == ("0", "1")
    assert labels_of({"7": 0, "1": 1}) == ("7", "1")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"is empty: give one class name per line"),
        ("\n \n", r"is empty"),
        ("cat\n\nbird\n", r"line 2 is empty: give each line a class name"),
        ("1 cat\n2 dog\n", r"count from 1, and classes count from 0: leave the numbers out, or count from 0"),
        ('{"0": "cat", "2": "dog"}', r"indexes up to 2, and the index 1 has none: give each index from 0 on a name"),
        ('{"1": "cat", "2": "dog"}', r"indexes up to 2, and the index 0 has none"),
        ('{"cat": 0, "dog": 0}', r"the index 0 has two names"),
        ('{"cat": 0, "dog": "one"}', r"'dog' has no index|'cat' has no index"),
        ('{"epochs": 3, "lr": 0.1}', r"has no index|the index 0 has none"),
        ("[1, 2]", r"the name of index 0 is 1: give a text, and quote no, yes and numbers"),
        ('["cat", null]', r"the name of index 1 is None"),
        ('["cat", " "]', r"the name of index 1 is ' '"),
        ("[]", r"it has no class names: give one class name per line"),
        ('["cat"', r"is neither JSON nor YAML .*: give one class name per line"),
        ('{"0": "cat", "1": {"a": 1}}', r"the name of index 1 is \{'a': 1\}"),
    ],
)
def test_names_that_do_not_fit_say_why(tmp_path: Path, text: str, fault: str) -> None:
    file = written(tmp_path, "labels.txt", text)
    with pytest.raises(LabelsFault, match=rf"^{file}.*{fault}"):
        labels_from(file)


def test_yaml_reads_no_as_false(tmp_path: Path) -> None:
    with pytest.raises(LabelsFault, match="the name of index 1 is False: give a text, and quote no, yes and numbers"):
        labels_from(written(tmp_path, "labels.yaml", "- yes please\n- no\n"))


def test_another_encoding_is_no_other_name(tmp_path: Path) -> None:
    for encoding in ("utf-16", "latin-1"):
        with pytest.raises(LabelsFault, match=r"labels\.txt cannot be read .*in UTF-8$"):
            labels_from(written(tmp_path, "labels.txt", "größe\nbär\n", encoding))


def test_a_manifest_takes_each_form(tmp_path: Path) -> None:
    written(tmp_path, "config.json", json.dumps({"id2label": dict(enumerate(NAMES))}))
    for labels in ("config.json", list(NAMES), dict(enumerate(NAMES)), {"cat": 0, "hot dog": 1, "bird": 2}):
        assert load_manifest(write_manifest(tmp_path, small_manifest(labels=labels))).labels == NAMES
    with pytest.raises(
        SettingsError, match=r"model\.yaml: labels: 2 names have indexes up to 2, and the index 1 has n"
    ):
        load_manifest(write_manifest(tmp_path, small_manifest(labels={0: "cat", 2: "dog"})))
