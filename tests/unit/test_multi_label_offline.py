"""`replay`, `evaluate` and `tune` of models that decide each class on its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.schemas import validator
from tests.support.tints import TINTS, counted_by_hand, tinted_frames, write_tints_model
from worker.cli import app
from worker.media.folder import write_recording
from worker.models.manifest import load_manifest
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.agreement import Bounds
from worker.tuning.disturbance import Undisturbed, looks
from worker.tuning.trials import Trials

pytestmark = pytest.mark.slow
FRAMES = 120


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_recording(folder, tinted_frames(FRAMES))
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tints_model(tmp_path_factory.mktemp("several"), task="multi_label")


def run(*arguments: str | Path) -> str:
    found = CliRunner().invoke(app, [str(each) for each in arguments])
    assert found.exit_code == 0, (found.output, found.exception)
    return found.stdout


def replayed(data: Path, model: Path) -> Iterator[tuple[str, Any]]:
    found = run("replay", data, "--labels", data / "frames.csv", "--model", model)
    for line in found.splitlines():
        if line.startswith("{"):
            yield from json.loads(line).items()


def test_a_replay_writes_what_the_worker_publishes(data: Path, several: Path) -> None:
    found = list(replayed(data, several))
    predictions = [message for kind, message in found if kind == "prediction"]
    accuracy = {message["camera"]: message for kind, message in found if kind == "accuracy"}
    expected = counted_by_hand(FRAMES)

    for message in predictions:
        validator("multi-label-prediction").validate(message)
    for message in accuracy.values():
        validator("accuracy").validate(message)
    assert len(predictions) == FRAMES
    assert sum(each["labelled"] for each in accuracy.values()) == expected["labelled"]
    assert sum(each["multi_label"]["exact"] for each in accuracy.values()) == expected["exact"]


def test_it_is_evaluated_by_class(data: Path, several: Path, tmp_path: Path) -> None:
    report = json.loads(run("evaluate", several, data, "--out", tmp_path / "report", "--against", several, "--json"))
    expected, accuracy = counted_by_hand(FRAMES), report["accuracy"]

    assert (accuracy["seen"], accuracy["labelled"], accuracy["exact"]) == tuple(
        expected[name] for name in ("seen", "labelled", "exact")
    )
    assert 0 < accuracy["exact_ratio"] < accuracy["jaccard"] < 1
    assert [each["name"] for each in report["classes"]] == list(TINTS)
    for name in ("hits", "misses", "false_alarms"):
        assert sum(each[name] for each in report["classes"]) == expected[name]
    assert accuracy["macro_f1"] == pytest.approx(sum(each["f1"] for each in report["classes"]) / 3)
    worst = report["mistakes"][0]
    assert len(worst["misses"]) + len(worst["false_alarms"]) == 3
    assert report["against"]["accuracy"] == accuracy
    assert (tmp_path / "report" / "mistakes.jpg").stat().st_size > 1000


def test_a_person_reads_it(data: Path, several: Path) -> None:
    text = run("evaluate", several, data)
    expected = counted_by_hand(FRAMES)
    assert f"{FRAMES} predicted, {expected['labelled']} labelled" in text
    assert f"({expected['exact']} of {expected['labelled']}), Jaccard 0." in text
    assert "frames with most wrong classes" in text


def test_models_of_two_kinds_are_not_compared(data: Path, several: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(
        app, ["evaluate", str(several), str(data), "--against", str(write_tints_model(tmp_path))]
    )
    assert "they predict several classes and one class: give models of one task" in str(found.exception)


def test_one_score_for_two_classes_is_evaluated_as_any_classifier(data: Path, tmp_path: Path) -> None:
    report = json.loads(run("evaluate", write_tints_model(tmp_path, labels=["empty", "blue"]), data, "--json"))
    assert report["accuracy"]["labelled"] == sum(frame.label == "blue" for frame in tinted_frames(FRAMES))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tuning_compares_the_named_classes(
    precision: str, several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    frames = list(tinted_frames(40))
    groups = Groups(ModelGroup(path=several, top_k=1), WindowGroup(), Limits())
    trials = Trials(
        load_manifest(several),
        groups,
        frames,
        calibration=frames,
        bounds=Bounds(),
        seconds=0.01,
        undisturbed=Undisturbed(looks(), seconds=0.01),
    )
    choice = {"model.engine": "onnxruntime", "model.precision": precision}
    judged = trials.judge(choice, thorough=True)

    assert judged.why_not is None
    assert judged.agreement is not None
    assert judged.agreement.share == 1.0
