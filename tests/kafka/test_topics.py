"""`vision-worker topics` against a real broker: what is missing is created, what is there stays as it is."""

import uuid
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from worker.adapters.kafka import KafkaAdmin, Topic
from worker.app.requirements import Findings, judge_topics
from worker.cli import app
from worker.settings import Topics


def test_missing_topics_are_created_as_the_worker_needs_them(bootstrap_servers: str, tmp_path: Path) -> None:
    topics = Topics.with_prefix(f"topics-{uuid.uuid4().hex[:8]}")
    topics = topics.model_copy(update={"skipped": f"{topics.frames}-skipped"})
    admin, config = KafkaAdmin(bootstrap_servers, {}), tmp_path / "worker.yaml"
    admin.create([Topic(topics.frames, 4, {"max.message.bytes": "1000"})])
    config.write_text(yaml.safe_dump({"kafka": {"bootstrap_servers": bootstrap_servers}, "topics": topics.in_use()}))
    answers = [CliRunner().invoke(app, ["topics", "--config", str(config), "--partitions", "3"]) for _ in range(2)]

    assert [each.exit_code for each in answers] == [0, 0]
    assert answers[0].output.count("created") == len(topics.in_use()) - 1
    assert f"topics.frames        {topics.frames}" in answers[0].output
    assert "exists, with 4 partitions" in answers[0].output
    assert "created" not in answers[1].output
    found, findings = admin.topics(topics.in_use().values()), Findings()
    judge_topics(topics, found, findings)
    assert findings.faults == []
    assert {each.partitions for each in found.values()} == {
        4
    }  # as many as there are of frames, though fewer were asked


@pytest.mark.parametrize("settings", [{}, {"kafka": {"bootstrap_servers": ""}}], ids=["none", "an empty address"])
def test_settings_that_cannot_be_read(settings: dict[str, object], tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(yaml.safe_dump(settings))
    answer = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None}).invoke(app, ["topics", "--config", str(config)])
    assert answer.exit_code != 0
    assert "kafka.bootstrap_servers" in str(answer.exception)
