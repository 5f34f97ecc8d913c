"""Run deploy/kafka/create-topics.sh on a real Kafka, and check the topics as `vision-worker check` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployment import DEPLOY, services
from worker.adapters.kafka import KafkaAdmin
from worker.cli.check import Findings, judge_topics
from worker.local.broker import LocalKafka
from worker.settings import Topics

KAFKA_TOPICS = f"""#!{sys.executable}
'''Replaces Kafka's kafka-topics.sh, whose jar is not among those that a broker needs.'''
import argparse
from confluent_kafka.admin import AdminClient, NewTopic

parser = argparse.ArgumentParser(allow_abbrev=False)
for option in ("--bootstrap-server", "--topic"):
    parser.add_argument(option, required=True)
for option in ("--partitions", "--replication-factor"):
    parser.add_argument(option, type=int, required=True)
for option in ("--create", "--if-not-exists"):
    parser.add_argument(option, action="store_true", required=True)
parser.add_argument("--config", action="append", default=[])
given = parser.parse_args()
admin = AdminClient({{"bootstrap.servers": given.bootstrap_server}})
if given.topic not in admin.list_topics(timeout=10).topics:
    config = dict(pair.split("=") for pair in given.config)
    topic = NewTopic(given.topic, given.partitions, given.replication_factor, config=config)
    admin.create_topics([topic])[given.topic].result(30)
"""


@pytest.mark.kafka
def test_the_topics_meet_the_workers_requirements(tmp_path: Path) -> None:
    tool = tmp_path / "kafka-topics.sh"
    tool.write_text(KAFKA_TOPICS)
    tool.chmod(0o755)
    service = services()["topics"]
    with LocalKafka() as kafka:
        environment = {name: str(value) for name, value in service["environment"].items()} | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        }
        script = [*service["entrypoint"][:-1], str(DEPLOY / "kafka" / "create-topics.sh")]
        for _ in range(2):  # the second run finds nothing to do
            ran = subprocess.run(script, check=False, capture_output=True, text=True, env=environment)
            assert ran.returncode == 0, ran.stderr
        found = KafkaAdmin(kafka.bootstrap_servers, {}).topics(Topics().model_dump().values())
    findings = Findings()
    judge_topics(Topics(), found, findings)
    assert findings.faults == []
    assert findings.warnings == []
    assert found["frames"].partitions == int(service["environment"]["PARTITIONS"])
    assert found["accuracy"].config["cleanup.policy"] == "compact"
