"""`vision-worker check` against a real broker: all right, all wrong at once, nobody there."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import worker.models.preparation  # noqa: F401 loads libraries that set variables of the environment
from tests.kafka.conftest import MakeTopic
from tests.support.warm import run_warm
from tests.support.workers import stage
from worker.cli import app

NOBODY = "127.0.0.1:1"
SECRET = "geheim"  # noqa: S105 that it is hidden is what is tested


@dataclass(frozen=True, slots=True)
class Answer:
    """What the command said."""

    status: int
    out: str
    err: str

    @property
    def faults(self) -> list[str]:
        """What stands behind the word fault, line by line."""
        lines = [line.partition(" ") for line in self.out.splitlines()]
        return [text.strip() for mark, _, text in lines if mark == "fault"]

    @property
    def warnings(self) -> list[str]:
        """What stands behind the word warning."""
        return [line.removeprefix("warning ") for line in self.out.splitlines() if line.startswith("warning ")]


def check(settings: Mapping[str, Any], folder: Path, *words: str) -> Answer:
    """Run the command as a program of its own."""
    written = _written(settings, folder)
    ran = run_warm("check", "--config", written, *words, environment={"KAFKA_BOOTSTRAP_SERVERS": None})
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def check_here(settings: Mapping[str, Any], folder: Path, **variables: str) -> Answer:
    """Run the command in this process, which has the large libraries loaded already."""
    environment: dict[str, str | None] = {"KAFKA_BOOTSTRAP_SERVERS": None, **variables}
    ran = CliRunner().invoke(app, ["check", "--config", str(_written(settings, folder))], env=environment)
    return Answer(ran.exit_code, ran.stdout, ran.stderr)


def _written(settings: Mapping[str, Any], folder: Path) -> Path:
    config = folder / "settings.yaml"
    config.write_text(yaml.safe_dump(dict(settings)))
    return config


@pytest.fixture(scope="module", autouse=True)
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Answer]]:
    """Ask where nobody listens; that takes its time, in which the other tests run."""
    folder = tmp_path_factory.mktemp("check")
    options = {"sasl.username": "worker", "sasl.password": SECRET}
    settings = {
        "kafka": {"bootstrap_servers": NOBODY, "options": options},
        "model": {"path": str(folder / "no-such-model")},
    }
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(check, settings, folder)


def test_all_is_right(bootstrap_servers: str, tmp_path: Path) -> None:
    with stage(bootstrap_servers, partitions=2) as on:
        answer = check(on.settings(), tmp_path, "--json")
        said = json.loads(answer.out)

        assert (answer.status, answer.err, said["faults"]) == (0, "", [])
        assert f"kafka.bootstrap_servers: {bootstrap_servers} answers" in said["facts"]
        assert f"topics.frames: {on.frames!r} has 2 partitions" in said["facts"]
        assert "model: mobilenet_v2@b03531047ffa with 1000 classes runs on cpu by eager" in said["facts"]


def test_a_model_that_is_named_is_checked_and_is_in_the_next_command(bootstrap_servers: str, tmp_path: Path) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        settings = on.settings(model={"path": "/no-such-model"})
        config = tmp_path / "settings.yaml"
        answer = check(settings, tmp_path, "--model", "mobilenet_v2")

    assert (answer.status, answer.faults) == (0, [])
    assert "ok      model: mobilenet_v2@b03531047ffa with 1000 classes" in answer.out
    assert answer.out.splitlines()[-1] == f"next    vision-worker run --config {config} --model mobilenet_v2"


def test_all_that_is_wrong_is_said_at_once_with_what_to_do(
    bootstrap_servers: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    frames, accuracy, dead_letters = make_topic(3), make_topic(2), make_topic(1, {"max.message.bytes": "1000"})
    settings = {
        "kafka": {"bootstrap_servers": bootstrap_servers, "producer": {"no.such.option": 1}},
        "topics": {
            "frames": frames,
            "predictions": "no-such-topic",
            "accuracy": accuracy,
            "dead_letters": dead_letters,
        },
        "window": {"size_ms": 0},
        "model": {"path": str(tmp_path / "no-such-model")},
        "nonsense": {},
    }
    answer = check_here(settings, tmp_path, VISION_WORKER_THREADS="1")

    wanted = [
        "environment variable VISION_WORKER_THREADS: there is no such setting",
        "nonsense: there is no such group of settings",
        "window.size_ms: Input should be greater than or equal to 1 (it is 0)",
        "kafka.producer: ",
        "topics.predictions: topic 'no-such-topic' does not exist; create it with 3 partitions, as ",
        f"topics.accuracy: {accuracy!r} has cleanup.policy=delete, so counts are lost",
        f"model: {tmp_path / 'no-such-model'}",
    ]
    assert (answer.status, answer.err) == (2, "")
    assert [each for each in wanted if not any(fault.startswith(each) for fault in answer.faults)] == []
    assert len(answer.faults) == len(wanted), answer.faults
    narrow, room = answer.warnings
    assert narrow.startswith(f"topics.accuracy: {accuracy!r} has 2 partitions, so frames of the partitions from 2 on")
    assert [line for line in answer.out.splitlines() if line.startswith("ok") and "topics." in line] == [
        f"ok      topics.frames: {frames!r} has 3 partitions"
    ]
    assert answer.out.splitlines()[-1].startswith("next    vision-worker topics plan --config ")
    assert room.startswith(f"topics.dead_letters: {dead_letters!r} has max.message.bytes=1000")


def test_a_broker_that_does_not_answer_is_one_fault_among_the_others(unanswered: "Future[Answer]") -> None:
    answer = unanswered.result()

    assert answer.status == 2
    broker, model = answer.faults
    assert broker.startswith(f"kafka.bootstrap_servers: no broker answered at {NOBODY}")
    assert model.startswith("model: ")
    assert SECRET not in answer.out + answer.err
