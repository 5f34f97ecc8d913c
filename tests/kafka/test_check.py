"""`vision-worker check` against a real broker: all right, all wrong at once, nobody there."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kafka.conftest import MakeTopic
from tests.support.workers import stage

NOBODY = "127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str


def check(settings: Mapping[str, Any], folder: Path, *words: str, **variables: str) -> Answer:
    config = folder / "settings.yaml"
    config.write_text(yaml.safe_dump(dict(settings)))
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    command = [sys.executable, "-m", "worker", "check", "--config", str(config), *words]
    ran = subprocess.run(command, env=environment | variables, capture_output=True, text=True, timeout=120, check=False)
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def faults(answer: Answer) -> list[str]:
    lines = [line.partition(" ") for line in answer.out.splitlines()]
    return [text.strip() for mark, _, text in lines if mark == "fault"]


def test_all_is_right(bootstrap_servers: str, tmp_path: Path) -> None:
    with stage(bootstrap_servers, partitions=2) as on:
        answer = check(on.settings(), tmp_path, "--json")
        said = json.loads(answer.out)

        assert (answer.status, answer.err, said["faults"]) == (0, "", [])
        assert f"kafka.bootstrap_servers: {bootstrap_servers} answers" in said["facts"]
        assert f"topics.frames: {on.frames!r} has 2 partitions" in said["facts"]
        assert "model: mobilenet_v2@b03531047ffa with 1000 classes runs on cpu" in said["facts"]


def test_all_that_is_wrong_is_said_at_once_with_what_to_do(
    bootstrap_servers: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    frames, predictions, accuracy = make_topic(3), make_topic(1), make_topic(2)
    topics = {"frames": frames, "predictions": predictions, "accuracy": accuracy, "dead_letters": "no-such-topic"}
    settings = {
        "kafka": {"bootstrap_servers": bootstrap_servers},
        "topics": topics,
        "window": {"size_ms": 0},
        "model": {"path": str(tmp_path / "no-such-model")},
        "nonsense": {},
    }
    answer = check(settings, tmp_path, VISION_WORKER_THREADS="1")

    assert (answer.status, answer.err) == (2, "")
    found = faults(answer)
    wanted = [
        "environment variable VISION_WORKER_THREADS: there is no such setting",
        "nonsense: there is no such group of settings",
        "window.size_ms: Input should be greater than or equal to 1 (it is 0)",
        "topics.dead_letters: topic 'no-such-topic' does not exist; create it",
        f"topics.predictions: {predictions!r} has 1 partitions and {frames!r} has 3; "
        "results go to the partition number of their frame, so add 2",
        f"topics.accuracy: {accuracy!r} has 2 partitions and {frames!r} has 3; "
        "results go to the partition number of their frame, so add 1",
        f"topics.accuracy: {accuracy!r} has cleanup.policy=delete; set it to compact, "
        "or counts are lost when old records are deleted",
    ]
    assert [fault for fault in wanted if not any(each.startswith(fault) for each in found)] == []
    (model,) = [fault for fault in found if fault.startswith("model: ")]
    assert str(tmp_path / "no-such-model") in model
    assert len(found) == len(wanted) + 1


def test_a_dead_letter_topic_with_less_room_than_the_frames_is_a_warning(
    bootstrap_servers: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topics = {name: make_topic() for name in ("frames", "predictions", "dead_letters")}
    topics["accuracy"] = make_topic(config={"cleanup.policy": "compact"})
    settings = {"kafka": {"bootstrap_servers": bootstrap_servers}, "topics": topics, "model": {"path": str(tmp_path)}}
    said = json.loads(check(settings, tmp_path, "--json").out)

    (warning,) = said["warnings"]
    assert warning.startswith(f"topics.dead_letters: {topics['dead_letters']!r} has max.message.bytes=1048588")
    assert warning.endswith("set it to 1064972 or more")


def test_a_broker_that_does_not_answer_is_one_fault_among_the_others(tmp_path: Path) -> None:
    settings = {
        "kafka": {"bootstrap_servers": NOBODY, "options": {"enable.auto.commit": True, "sasl.password": "geheim"}},
        "model": {"path": str(tmp_path)},
    }
    refused = faults(check(settings, tmp_path))
    settings["kafka"] = {"bootstrap_servers": NOBODY, "options": {"sasl.password": "geheim"}}
    answer = check(settings, tmp_path)
    unreachable = faults(answer)

    assert answer.status == 2
    assert refused[0].startswith("kafka.options: enable.auto.commit is refused: the worker commits an offset itself")
    assert unreachable[0].startswith(f"kafka.bootstrap_servers: no broker answered at {NOBODY} within 10 s")
    assert refused[1].startswith("model: ") and unreachable[1].startswith("model: ")
    assert "geheim" not in answer.out + answer.err


def test_an_option_that_the_client_does_not_know_is_a_fault(bootstrap_servers: str, tmp_path: Path) -> None:
    settings = {
        "kafka": {"bootstrap_servers": bootstrap_servers, "options": {"no.such.option": 1}},
        "model": {"path": str(tmp_path)},
    }
    answer = check(settings, tmp_path)

    assert answer.status == 2
    assert any("no.such.option" in fault for fault in faults(answer))
