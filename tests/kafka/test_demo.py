"""The main job, end to end: cameras, a real Kafka, real workers, real weights; and what it says is true."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from confluent_kafka.admin import AdminClient
from rich.cells import cell_len

from tests.support.terminals import run_in_terminal
from worker import wire
from worker.adapters.kafka import KafkaAdmin, KafkaReader
from worker.domain.records import Record, TopicPartition

CUTS = 5
"""Of the video, which plays once; tests/kafka/test_transnet.py knows their frames."""


@pytest.fixture(scope="module")
def summary(bootstrap_servers: str) -> dict[str, Any]:
    """Run the demo on the tests' own broker, with every result held against replay and torchvision."""
    command = [sys.executable, "-m", "worker", "demo", "--seconds", "5", "--json", "--verify"]
    # One thread: on busy cores, the threads of one operation mostly wait for each other.
    # Settings of a worker that this visitor runs elsewhere are not those of the demo.
    settings = {"VISION_WORKER_TOPICS__FRAMES": "other", "VISION_WORKER_OPS__PORT": "1", "VISION_WORKER_WRONG": "x"}
    environment = {**os.environ, **settings, "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    content: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return content


@pytest.mark.thorough
def test_every_frame_comes_out_and_is_counted(summary: dict[str, Any]) -> None:
    assert summary["frames_sent"] == 75
    assert summary["predictions"] == summary["seen"] == summary["frames_sent"]
    assert summary["dead_letters"] == 0
    assert summary["frames_per_second"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]


@pytest.mark.thorough
def test_accuracy_is_that_of_a_model_that_sees_and_errs(summary: dict[str, Any]) -> None:
    """Five photographs' cameras were chosen to lie near three right answers in four."""
    by_camera = summary["accuracy_by_camera"]

    assert summary["accuracy"] == pytest.approx(summary["correct"] / summary["labelled"], abs=1e-4)
    assert 0.6 < summary["accuracy"] < 0.9
    assert len(by_camera) == 5
    assert any(0 < ratio < 1 for ratio in by_camera.values())


@pytest.mark.thorough
def test_frame_for_frame_it_is_what_replay_and_torchvision_say(summary: dict[str, Any]) -> None:
    agreement = summary["agreement"]

    assert agreement["frames"] == agreement["replay_same"] == summary["predictions"]
    assert agreement["torchvision_same"] >= 0.99 * agreement["frames"]
    assert agreement["replay_difference"] < 1e-4
    assert agreement["torchvision_difference"] < 0.01
    assert agreement["replay_correct"] == summary["correct"]


@pytest.mark.thorough
def test_the_known_cuts_of_the_video_are_found(summary: dict[str, Any]) -> None:
    video = summary["video"]

    assert summary["cuts_found"] == summary["cuts_expected"] == CUTS
    assert video.pop("frames_sent") == video.pop("values") == 250
    assert list(video.values()) == [[], [], [], []]


@pytest.mark.thorough
def test_the_videos_values_are_those_of_replay(summary: dict[str, Any]) -> None:
    agreement = summary["video_agreement"]

    assert agreement["frames"] == agreement["replay_same"] == 250
    assert agreement["replay_difference"] < 1e-4


# ----- one of two workers is killed, in a terminal of 60 columns


COLUMNS = 60


@pytest.fixture(scope="module")
def topics_before(bootstrap_servers: str) -> set[str]:
    """Return the topics that are there before the second demo."""
    return set(AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=30).topics)


@pytest.fixture(scope="module")
def killed(
    bootstrap_servers: str, topics_before: set[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path]:
    """Run the demo in a terminal, and return all that it wrote, and its picture."""
    assert topics_before
    picture = tmp_path_factory.mktemp("demo") / "demo.svg"
    command = [sys.executable, "-m", "worker", "demo", "--kill-a-worker", "--seconds", "15", "--picture", str(picture)]
    environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "OMP_NUM_THREADS": "1"}
    return run_in_terminal(command, columns=COLUMNS, rows=30, environment=environment), picture


def test_what_it_says_of_a_killed_worker(killed: tuple[list[str], Path]) -> None:
    lines, _ = killed
    text = " ".join(lines)

    assert "was killed with SIGKILL at 0:05" in text
    assert "were taken over at 0:" in text
    assert "225 frames were sent: 225 predictions, 0 dead letters, none lost, none twice." in text
    assert "One worker was killed: 0 of 225 frames were lost, 0 were counted twice, 0 were predicted twice." in text
    assert any(line.startswith("worker-") and "killed" in line for line in lines)


def test_what_it_says_of_a_killed_worker_is_true(
    bootstrap_servers: str, topics_before: set[str], killed: tuple[list[str], Path]
) -> None:
    """Count by hand what is in the demo's topics, with frame ids, and without a line of the demo's own code."""
    assert killed
    topics = set(AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=30).topics) - topics_before
    (frames,) = (topic for topic in topics if topic.endswith("frames") and "video" not in topic)

    def read(kind: str) -> list[Record]:
        topic = frames.removesuffix("frames") + kind
        partitions = KafkaAdmin(bootstrap_servers, {}).topics([topic])[topic].partitions
        reader = KafkaReader(bootstrap_servers, {})
        try:
            return list(reader.read_to_end([TopicPartition(topic, number) for number in range(partitions)]))
        finally:
            reader.close()

    sent = Counter((dict(record.headers)["frame-id"] or b"").decode() for record in read("frames"))
    predictions = [wire.decode_prediction(record.value or b"") for record in read("predictions")]
    last = {record.key: wire.decode_accuracy(record.value or b"") for record in read("accuracy")}
    assert Counter(message.frame.id for message in predictions) == sent
    assert (sent.total(), len(sent)) == (225, 225)
    assert sum(tally.seen for tally in last.values()) == 225
    right = sum(bool(message.correct and message.correct.top1) for message in predictions)
    assert sum(tally.correct.top1 for tally in last.values()) == right


def test_no_line_is_wider_than_the_terminal_but_commands(killed: tuple[list[str], Path]) -> None:
    lines, _ = killed
    commands = [line for line in lines if "-m worker" in line]

    assert len(set(commands)) == 3
    assert max(cell_len(line) for line in lines if line not in commands) <= COLUMNS
    assert all(line.isascii() for line in lines)


def test_the_picture_shows_the_last_screen_and_loads_nothing(killed: tuple[list[str], Path]) -> None:
    _, file = killed
    content = file.read_text()
    text = "".join(ET.fromstring(content).itertext()).replace("\N{NO-BREAK SPACE}", " ")  # noqa: S314 our own

    assert "vision-worker demo --kill-a-worker" in text
    assert "0 were counted twice" in text
    assert "url(http" not in content
    assert len(content) < 150_000
