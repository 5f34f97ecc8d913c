"""`vision-worker replay` as a program of its own, over real photographs and a real video, with real weights."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import cv2
import pytest

from tests.support.recurrent import write_recurrent_model
from tests.support.schemas import validator
from tests.support.warm import run_warm
from worker.local.samples import PHOTOGRAPHS, fetch_video, load_photograph
from worker.models.ready import ready_model

pytestmark = pytest.mark.slow


def replay(*arguments: str | Path) -> "CompletedProcess[str]":
    """Replay with one thread: on busy cores, the threads of one operation mostly wait for each other."""
    return run_warm("replay", *arguments, environment={"OMP_NUM_THREADS": "1"})


def replay_on_a_terminal(*arguments: str | Path) -> list[str]:
    """Return the lines that a terminal of 80 columns shows, without the progress bar."""
    command = [sys.executable, "-m", "worker", "replay", *map(str, arguments)]
    terminal, end = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "TERM": "dumb"}
    with subprocess.Popen(command, stdout=end, stderr=subprocess.PIPE, env=environment) as running:
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, 65536):
                shown += chunk
        except OSError:  # so a terminal ends
            pass
        assert running.stderr
        errors = running.stderr.read()
    os.close(terminal)
    assert running.returncode == 0, errors
    assert errors == b""
    return [line.rstrip() for line in shown.decode().splitlines()]


def lines_of(ran: "CompletedProcess[str]") -> dict[str, list[dict[str, Any]]]:
    assert ran.returncode == 0, ran.stderr
    found: dict[str, list[dict[str, Any]]] = {"prediction": [], "dead_letter": [], "accuracy": []}
    for line in ran.stdout.splitlines():
        ((kind, content),) = json.loads(line).items()
        found[kind].append(content)
    return found


@pytest.fixture(scope="module")
def model() -> Path:
    return ready_model("mobilenet_v2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in folders by label, and one broken file."""
    folder = tmp_path_factory.mktemp("pictures")
    for photograph in PHOTOGRAPHS[:2]:
        (folder / photograph.label).mkdir()
        pixels = cv2.cvtColor(load_photograph(photograph), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / photograph.label / f"{photograph.name}.jpg"), pixels)
    (folder / "espresso" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    return folder


def test_a_folder_gives_predictions_dead_letters_and_accuracy(pictures: Path, model: Path) -> None:
    found = lines_of(replay(pictures, "--model", model, "--camera", "desk"))

    for message in found["prediction"]:
        validator("prediction").validate(message)
    assert {(m["label"], m["classes"][0]["name"]) for m in found["prediction"]} == {
        ("Egyptian cat", "Egyptian cat"),
        ("espresso", "espresso"),
    }
    assert {(m["frame"]["id"], m["frame"]["offset"]) for m in found["prediction"]} == {
        ("Egyptian cat/chelsea.jpg", 0),
        ("espresso/coffee.jpg", 2),
    }
    (letter,) = found["dead_letter"]
    assert (letter["reason"], letter["stage"]) == ("truncated", "decode")
    (accuracy,) = found["accuracy"]
    validator("accuracy").validate(accuracy)
    assert (accuracy["camera"], accuracy["seen"], accuracy["labelled"]) == ("desk", 2, 2)
    assert accuracy["accuracy"]["top1"] == 1.0


def test_a_terminal_shows_a_summary(pictures: Path, model: Path) -> None:
    lines = replay_on_a_terminal(pictures, "--model", model)

    assert max(map(len, lines)) <= 80
    words = [" ".join(line.split()) for line in lines]
    assert words[0].startswith("mobilenet_v2@b03531047ffa (classify) on")
    assert any(line.startswith("3 frames in ") for line in words)
    assert "labels: the sub-folders, because they are named after classes of the model" in words
    assert "dead letters: 1 truncated" in words
    assert any(line.startswith("espresso/broken.jpg: the JPEG is truncated") for line in words)
    assert "2 predicted, 2 labelled" in words
    assert "espresso 1 1.000 1.000 1.000" in words
    assert words[-1] == "every prediction: add --json"


def test_without_labels_the_summary_tells_what_was_predicted(pictures: Path, tmp_path: Path) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"img{number}.jpg").write_bytes((pictures / "espresso" / "coffee.jpg").read_bytes())
    words = [" ".join(line.split()) for line in replay_on_a_terminal(tmp_path, "-m", "mobilenet_v2")]

    assert any(line.startswith("espresso 3 0.9") for line in words)
    assert [line.split()[0] for line in words if line.startswith("img")] == ["img1.jpg", "img2.jpg", "img10.jpg"]


def test_folders_that_are_no_classes_are_no_labels(pictures: Path, model: Path, tmp_path: Path) -> None:
    """The class of index 7 is a cock: a folder of that name holds what came on the seventh."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "coffee.jpg").write_bytes((pictures / "espresso" / "coffee.jpg").read_bytes())
    ran = replay(tmp_path, "--model", model)
    found = lines_of(ran)

    assert [(m["label"], m["correct"]) for m in found["prediction"]] == [(None, None)]
    assert [accuracy["labelled"] for accuracy in found["accuracy"]] == [0]
    assert "labels: none, because only 0 of 1 sub-folders" in ran.stderr


def test_a_video_gives_a_prediction_a_frame(model: Path) -> None:
    found = lines_of(replay(fetch_video("carphone"), "--model", model))

    assert [m["frame"]["offset"] for m in found["prediction"]] == list(range(len(found["prediction"])))
    assert len(found["prediction"]) == 120
    assert found["dead_letter"] == []
    assert [accuracy["accuracy"]["top1"] for accuracy in found["accuracy"]] == [None]


def test_a_recurrent_model_says_what_it_has_seen_and_saves_nothing(tmp_path: Path) -> None:
    found = lines_of(replay(fetch_video("carphone"), "--model", write_recurrent_model(tmp_path, rate=10.0)))

    for message in found["prediction"]:
        validator("recurrent-prediction").validate(message)
    steps = [message["steps"] for message in found["prediction"]]
    assert steps == list(range(1, len(steps) + 1))
    assert 35 <= len(steps) <= 50
    assert found["dead_letter"] == []


def test_without_a_model_it_says_what_is_missing(pictures: Path) -> None:
    ran = replay(pictures)

    assert ran.returncode == 2
    assert "model: set either path (a model manifest) or name" in ran.stderr
    assert "kafka" not in ran.stderr


def test_a_source_that_is_not_there_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    ran = replay(tmp_path / "nowhere", "--model", tmp_path)

    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "does not exist" in " ".join(ran.stderr.replace("│", " ").split())
