"""`vision-worker topics` against a real broker: a plan changes nothing, and what is applied is what was shown."""

import json
import os
import pty
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.workers import PATIENCE
from worker.adapters.kafka import KafkaAdmin, Topic
from worker.app.requirements import Findings, judge_topics
from worker.cli import app
from worker.domain.errors import WorkerError
from worker.settings import Topics
from worker.settings.topics import replay_marks


@dataclass(frozen=True, slots=True)
class Place:
    """Topics of their own on a broker, and the commands that are about them."""

    admin: KafkaAdmin
    topics: Topics
    config: Path

    def run(self, command: str, *words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, ["topics", command, "--config", str(self.config), *words], input=typed)

    @property
    def names(self) -> list[str]:
        return [*self.topics.in_use().values(), replay_marks(self.topics.dead_letters).name]

    def found(self) -> dict[str, Topic]:
        return self.admin.topics(self.names)


@pytest.fixture
def place(bootstrap_servers: str, tmp_path: Path) -> Place:
    topics = Topics.with_prefix(f"topics-{uuid.uuid4().hex[:8]}")
    topics = topics.model_copy(update={"skipped": f"{topics.frames}-skipped"})
    config = tmp_path / "worker.yaml"
    config.write_text(yaml.safe_dump({"kafka": {"bootstrap_servers": bootstrap_servers}, "topics": topics.in_use()}))
    return Place(KafkaAdmin(bootstrap_servers, {}), topics, config)


def test_a_plan_changes_nothing_and_names_the_next_command(place: Place) -> None:
    answer = place.run("plan", "--partitions", "2", "--set", "frames.retention.ms=5")

    assert answer.exit_code == 0
    assert answer.output.splitlines()[-1] == (
        f"next: vision-worker topics apply --config {place.config} --partitions 2 --set frames.retention.ms=5"
    )
    assert place.found() == {}
    assert place.run("plan", "--exit-code").exit_code == 3


def test_what_is_missing_is_created_without_a_question_as_the_worker_needs_it(place: Place) -> None:
    place.admin.create([Topic(place.topics.frames, 4, {"max.message.bytes": "1000"})])
    answers = [place.run("apply", "--partitions", "3") for _ in range(2)]

    assert [each.exit_code for each in answers] == [0, 0]
    assert answers[0].output.count("created") == len(place.names) - 1
    assert "keeps its 4 partitions" in answers[0].output
    assert "created" not in answers[1].output
    assert place.run("plan", "--exit-code").exit_code == 0
    found, findings = place.found(), Findings()
    judge_topics(place.topics, found, findings)
    assert (findings.faults, findings.warnings) == ([], [])
    assert {found[name].partitions for name in place.topics.in_use().values()} == {4}


def test_topics_that_a_broker_made_itself_are_changed_once_somebody_agrees(place: Place) -> None:
    place.admin.create(Topic(name, 1) for name in place.names)
    asked = ("apply", "--partitions", "3", "--largest-frame", "2000000", "--set", "frames.retention.ms=60000")
    refused = place.run(*asked)

    assert "add --yes" in str(refused.exception)
    assert {topic.partitions for topic in place.found().values()} == {1}
    agreed = place.run(*asked, "--yes")
    found, findings = place.found(), Findings()
    judge_topics(place.topics, found, findings)
    assert (agreed.exit_code, findings.faults, findings.warnings) == (0, [], [])
    assert "effect: cameras may move to other partitions" in agreed.output
    frames = found[place.topics.frames]
    assert (frames.partitions, frames.config["retention.ms"]) == (3, "60000")
    assert place.run(*asked).output.splitlines()[-1].startswith("nothing to do")


@pytest.mark.parametrize(("typed", "status", "partitions"), [("y", 0, 3), ("n", 1, 1), ("", 1, 1)])
def test_a_terminal_is_asked_before_a_topic_changes(place: Place, typed: str, status: int, partitions: int) -> None:
    place.admin.create([Topic(place.topics.frames, 1)])
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "worker", "topics", "apply", "--config", str(place.config), "--partitions", "3"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as asking:
        os.write(ours, f"{typed}\n".encode())
        said, _ = asking.communicate(timeout=PATIENCE)
    for end in (ours, theirs):
        os.close(end)

    assert asking.returncode == status, said
    assert "Change the topics that exist? [y/N]" in said
    assert place.found()[place.topics.frames].partitions == partitions


def test_what_cannot_be_done_changes_nothing(place: Place) -> None:
    place.admin.create([Topic(place.topics.frames, 1)])
    answer = place.run("apply", "--replication-factor", "3", "--yes")

    assert "cannot: the replication factor is 1, and 3 is asked for" in answer.output
    assert "nothing was changed" in str(answer.exception)
    assert place.found().keys() == {place.topics.frames}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--replication-factor", "3"], "ask for a replication factor of at most the number of brokers"),
        (["--set", "accuracy.no.such=1"], "correct the name and the value of this configuration"),
        (["--set", "accuracy.segment.ms=soon"], "correct the name and the value of this configuration"),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_what_the_brokers_refuse_says_what_to_do(place: Place, words: list[str], says: str, *, exists: bool) -> None:
    if exists and "--set" in words:
        place.admin.create([Topic(place.topics.accuracy, 4, {"cleanup.policy": "compact"})])
    answer = place.run("apply", *words, "--yes")

    assert isinstance(answer.exception, WorkerError)
    assert str(answer.exception).startswith("topic '")
    assert str(answer.exception).endswith(says)


def test_a_plan_for_programs(place: Place) -> None:
    place.admin.create([Topic(place.topics.accuracy, 1)])
    said = {each["role"]: each for each in json.loads(place.run("plan", "--json").output)}

    assert {role: each["action"] for role, each in said.items()} == {
        "frames": "create",
        "predictions": "create",
        "accuracy": "change",
        "dead_letters": "create",
        "skipped": "create",
        "replay_marks": "create",
    }
    assert [change["option"] for change in said["accuracy"]["changes"]] == ["partitions", "cleanup.policy"]


@pytest.mark.parametrize("settings", [{}, {"kafka": {"bootstrap_servers": ""}}], ids=["none", "an empty address"])
def test_settings_that_cannot_be_read(settings: dict[str, object], tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(yaml.safe_dump(settings))
    alone = {"KAFKA_BOOTSTRAP_SERVERS": None, "VISION_WORKER_CACHE": str(tmp_path)}  # no Kafka of `kafka up`
    answer = CliRunner(env=alone).invoke(app, ["topics", "apply", "--config", str(config)])
    assert answer.exit_code != 0
    assert "kafka.bootstrap_servers" in str(answer.exception)
