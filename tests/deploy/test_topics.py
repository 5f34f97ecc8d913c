"""Create the topics of docker-compose.yml in a real Kafka, and compare all services with them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.deployment import DEPLOY, read_yaml, services, settings_of, understood
from worker.adapters.kafka import KafkaAdmin
from worker.app.requirements import Findings, judge_topics
from worker.cli import app
from worker.local.broker import LocalKafka
from worker.settings import Topics

SERVICE = services()["topics"]
ASKED = understood(SERVICE["command"], SERVICE["environment"])


def test_all_services_use_the_topics_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(read_yaml(DEPLOY / "kubernetes" / "configmap.yaml")["data"]["worker.yaml"])
    producer = services()["producer"]

    assert ASKED["config"] is None
    assert understood(producer["command"], producer["environment"])["topic"] is None
    for service in (services()["worker"], producer, SERVICE):
        assert settings_of(service["environment"] | {"VISION_WORKER_MODEL__NAME": "any"}).topics == Topics()
    assert settings_of({}, config).topics == Topics()


@pytest.mark.kafka
def test_the_topics_meet_the_workers_requirements() -> None:
    with LocalKafka() as kafka:
        for _ in range(2):  # the second run finds nothing to do
            runner = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers})
            ran = runner.invoke(app, SERVICE["command"])
            assert ran.exit_code == 0, ran.exception
        found = KafkaAdmin(kafka.bootstrap_servers, {}).topics(Topics().in_use().values())
    findings = Findings()
    judge_topics(Topics(), found, findings)

    assert (findings.faults, findings.warnings) == ([], [])
    assert "nothing to do" in ran.output
    assert found["frames"].partitions == ASKED["partitions"]
    assert found["frames"].config["retention.bytes"] == str(256 * 2**20)
    assert found["accuracy"].config["cleanup.policy"] == "compact"
