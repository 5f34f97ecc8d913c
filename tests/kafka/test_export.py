"""`export` and `evaluate` on a real Kafka: the frames of a stretch, and the counts of the accuracy topic."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer
from typer.testing import CliRunner

from tests.support.cameras import pictures
from tests.support.warm import run_warm
from tests.support.workers import Stage, WarmWorker, stage
from worker import wire
from worker.adapters.kafka import KafkaReader
from worker.cli import app
from worker.domain.frames import CapturedFrame
from worker.domain.records import TopicPartition
from worker.domain.times import EventMillis
from worker.local.samples import PHOTOGRAPHS
from worker.media.folder import read_folder
from worker.views.moments import iso

HOUR = 3_600_000
START = 1_700_000_000_000
EACH = 6
"""Frames of each camera."""


def sent(servers: str, topic: str, times: dict[int, list[int]]) -> None:
    """Write records with these timestamps, in this order, to each partition; a value says which record it is."""
    producer = Producer({"bootstrap.servers": servers})
    for partition, moments in times.items():
        for number, moment in enumerate(moments):
            producer.produce(topic, f"{partition}/{number}".encode(), partition=partition, timestamp=moment)
    assert producer.flush(30) == 0


def test_exactly_the_records_of_a_stretch_are_read(bootstrap_servers: str) -> None:
    with stage(bootstrap_servers, partitions=3) as on:
        # Out of order, one of them by more than is allowed for.
        first = [START, START + 10, START + 500, START + 29, START + HOUR]
        sent(bootstrap_servers, on.frames, {0: first, 1: [START + 2, START + 2 * HOUR, START + 15]})
        reader = KafkaReader(bootstrap_servers, {})
        partitions = [TopicPartition(on.frames, number) for number in range(3)]

        def read(since: int, until: int) -> list[str]:
            found = reader.written_between(partitions, EventMillis(since), EventMillis(until))
            return [(each.value or b"").decode() for each in found]

        try:
            assert read(START, START + 30) == ["0/0", "0/1", "0/3", "1/0"]
            assert read(START + 10, START + 29) == ["0/1"]
            assert read(START + 31, START + 40) == []
            assert read(START + 30, START + 10 * HOUR) == ["0/2", "0/4", "1/1"]
            assert len(read(0, START + 10 * HOUR)) == 8
        finally:
            reader.close()


@dataclass(frozen=True, slots=True)
class Session:
    """Real photographs with labels were sent, and a worker has predicted and counted them.

    Attributes:
        config: the worker's settings, as a file.
        frames: what was sent.
    """

    stage: Stage
    config: Path
    frames: list[CapturedFrame]

    def run(self, *words: str | Path) -> str:
        found = CliRunner().invoke(app, [*map(str, words), "--config", str(self.config)])
        assert found.exit_code == 0, found.output
        return found.output


def _frames() -> list[CapturedFrame]:
    return [
        CapturedFrame(
            f"{photograph.name}-{number % 2}", jpeg, EventMillis(START + 40 * number), None, f"{camera}-{number}", label
        )
        for camera, photograph in enumerate(PHOTOGRAPHS[:3])
        for number, jpeg in enumerate(pictures(camera)[:EACH])
        for label in [None if number == 2 else "no such class" if number == 4 else photograph.label]
    ]


@pytest.fixture(scope="module")
def session(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder, frames = tmp_path_factory.mktemp("export"), _frames()
    config = folder / "settings.yaml"
    with stage(bootstrap_servers, partitions=2) as on:
        config.write_text(yaml.safe_dump(on.settings()))
        on.send([wire.render_frame(on.frames, frame) for frame in frames])
        with WarmWorker(on.settings(), folder) as worker:
            on.wait_until_done()
            assert worker.stop() == 0
        yield Session(on, config, frames)


def program(*words: str | Path) -> str:
    """Run a command in a process of its own, because torch changes the environment."""
    ran = run_warm(*words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def exported(session: Session, folder: Path, *words: str) -> str:
    return session.run("export", folder, "--from", "1h", *words)


def test_what_was_sent_is_exported_once_each_with_what_was_predicted(session: Session, tmp_path: Path) -> None:
    said = exported(session, tmp_path / "out")

    assert said.startswith("18 frames, 15 with a label, 18 with a prediction")
    found = list(read_folder(tmp_path / "out", start=EventMillis(0), rate=1, labels=tmp_path / "out" / "frames.csv"))
    assert sorted(found, key=lambda each: each.frame_id or "") == session.frames


def test_a_stretch_without_frames(session: Session, tmp_path: Path) -> None:
    said = session.run("export", tmp_path / "out", "--from", iso(EventMillis(START)), "--to", "2h")
    assert said.startswith("0 frames")


def test_evaluate_counts_what_the_accuracy_topic_tells(session: Session, tmp_path: Path) -> None:
    exported(session, tmp_path / "out", "--json")
    model = session.stage.settings()["model"]["path"]
    report: dict[str, Any] = json.loads(program("evaluate", model, tmp_path / "out", "--json"))
    published = {each.key: wire.parse_accuracy(each) for each in session.stage.read(session.stage.accuracy)}
    tallies = [each for each in published.values() if each is not None]

    assert len(tallies) == 6
    counts = report["accuracy"]
    assert counts["seen"] == sum(each.seen for each in tallies) == 18
    assert counts["labelled"] == sum(each.labelled for each in tallies) == 12
    assert counts["correct_top1"] == sum(each.correct_top1 for each in tallies) > 0
    assert counts["correct_top5"] == sum(each.correct_top5 for each in tallies)
    assert counts["top1"] == pytest.approx(sum(each.correct_top1 for each in tallies) / 12, abs=1e-9)
    assert {each["name"]: each["labelled"] for each in report["classes"] if each["labelled"]} == dict.fromkeys(
        (each.label for each in PHOTOGRAPHS[:3]), 4
    )


def test_by_class_frames_without_a_label_are_left_out_and_counted(session: Session, tmp_path: Path) -> None:
    said = exported(session, tmp_path / "out", "--layout", "imagefolder")
    assert "15 frames, 15 with a label" in said
    assert "3 frames without a label are left out: --layout csv writes them too" in said
    assert len(list((tmp_path / "out" / "Egyptian cat").iterdir())) == 4


def test_a_topic_that_is_not_there(session: Session, tmp_path: Path) -> None:
    found = CliRunner().invoke(
        app, ["export", str(tmp_path / "out"), "--from", "1h", "--topic", "nowhere", "-c", str(session.config)]
    )
    assert "topic 'nowhere' does not exist at" in str(found.exception)
    assert not (tmp_path / "out").exists()


def test_training_on_a_stretch_uses_its_labelled_frames_once_each_and_never_those_held_out(
    session: Session, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "model"
    options = ["--model", "squeezenet1_1", "--weights", "none", "--layers", "all", "--size", "32", "--epochs", "1"]
    held_out = f"{PHOTOGRAPHS[0].name}-1", f"{PHOTOGRAPHS[1].name}-1", f"{PHOTOGRAPHS[2].name}-1"
    holdout = [word for name in held_out for word in ("--holdout", name)]
    program("train", data, "--from", "1h", "--config", session.config, *options, *holdout, "--out", out, "--json")

    with (data / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    positions = {str(each.position) for each in session.stage.read(session.stage.frames)}
    assert sorted(each["position"] for each in rows) == sorted(positions)
    card = json.loads((out / "card.json").read_text())["data"]
    assert (card["pictures"], card["unlabelled"], card["unreadable"]) == (18, 3, [])
    assert sorted(card["held_out_groups"]) == sorted(held_out)
    assert not set(card["held_out_groups"]) & set(card["train_groups"])
    labelled = {
        camera: sum(1 for each in rows if each["camera-id"] == camera and each["label"])
        for camera in {each["camera-id"] for each in rows}
    }
    assert sum(card["held_out_samples"].values()) == sum(labelled[each] for each in held_out) == 9
    assert sum(card["train_samples"].values()) == sum(labelled[each] for each in card["train_groups"]) == 6


def test_a_stretch_needs_a_beginning(session: Session, tmp_path: Path) -> None:
    words = ["train", str(tmp_path / "data"), "--topic", session.stage.frames, "--model", "squeezenet1_1", "--out", "x"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code != 0
    assert "give --from too" in found.output
