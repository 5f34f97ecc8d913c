"""`vision-worker evaluate` as a program of its own, over real photographs, with real weights."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import cv2
import pytest
import yaml
from typer.testing import CliRunner

from tests.support.cameras import pictures
from tests.support.models import small_manifest, write_manifest
from tests.support.warm import run_warm
from worker.cli import app
from worker.local.samples import PHOTOGRAPHS

pytestmark = pytest.mark.slow


def evaluate(*arguments: str | Path) -> "CompletedProcess[str]":
    """Evaluate with one thread: on busy cores, the threads of one operation mostly wait for each other."""
    return run_warm("evaluate", *arguments, environment={"OMP_NUM_THREADS": "1", "COLUMNS": "80"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs in motion, in a folder for each class, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("data")
    for camera in (0, 1, 4):
        below = folder / PHOTOGRAPHS[camera].label
        below.mkdir()
        for number, jpeg in enumerate(pictures(camera)[:8]):
            (below / f"{PHOTOGRAPHS[camera].name}-{number}.jpg").write_bytes(jpeg)
    (folder / "espresso" / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_a_model_is_evaluated_and_compared(data: Path, tmp_path: Path) -> None:
    ran = evaluate("mobilenet_v2", data, "--against", "efficientnet_lite0", "--out", tmp_path / "report", "--json")
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)

    assert json.loads((tmp_path / "report" / "report.json").read_text()) == report
    accuracy, compared = report["accuracy"], report["against"]["comparison"]
    assert (accuracy["seen"], accuracy["labelled"], report["rejected"]) == (24, 24, {"not-a-picture": 1})
    assert 0 < accuracy["correct_top1"] < 24
    assert sum(each["right"] for each in report["classes"]) == accuracy["correct_top1"]
    assert len(report["mistakes"]) == 24 - accuracy["correct_top1"]
    assert compared["both_right"] + compared["only_first"] == accuracy["correct_top1"]
    assert compared["both_right"] + compared["only_second"] == report["against"]["accuracy"]["correct_top1"]
    for name in ("confusion.png", "calibration.png", "mistakes.jpg"):
        picture = cv2.imread(str(tmp_path / "report" / name))
        assert picture is not None
        assert picture.std() > 10


def test_a_person_reads_it_on_eighty_columns(data: Path) -> None:
    ran = evaluate("mobilenet_v2", data)
    assert ran.returncode == 0, ran.stderr
    assert "24 predicted, 24 labelled" in ran.stdout
    assert "surest mistakes" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


def test_a_model_without_a_measure(data: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path, small_manifest(task="embed", labels=None, output=None))
    ran = evaluate(tmp_path, data)
    assert ran.returncode != 0
    assert "a model of the task embed cannot be evaluated" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["evaluate", "mobilenet_v2", str(tmp_path)])
    assert "has no pictures" in str(found.exception)


def test_labels_that_name_no_class_are_no_comparison(data: Path, tmp_path: Path) -> None:
    (tmp_path / "unheard of").mkdir()
    (tmp_path / "unheard of" / "one.jpg").write_bytes((data / "espresso" / "coffee-0.jpg").read_bytes())
    config = tmp_path / "worker.yaml"
    config.write_text(yaml.safe_dump({"limits": {"max_pixels": 1000}}))
    ran = evaluate("mobilenet_v2", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "1 predicted, 0 labelled" in ran.stdout
    assert "No frame has a label that names a class of the model" in ran.stdout
    assert json.loads(evaluate("mobilenet_v2", tmp_path, "--config", config, "--json").stdout)["rejected"] == {
        "too-large": 1
    }
