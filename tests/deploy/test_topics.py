"""Compare the topics of deploy/kafka/create-topics.sh with the settings' list, and create them in a real Kafka."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployment import DEPLOY, read_yaml, services, settings_of, understood
from worker.adapters.kafka import KafkaAdmin
from worker.app.requirements import Findings, judge_topics
from worker.local.broker import LocalKafka
from worker.settings import Topics
from worker.settings.topics import NEEDS, TopicSpec

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


SERVICE = services()["topics"]


def run_script(tool: Path, servers: str) -> None:
    """Run the script as docker-compose.yml does, with `tool` in place of Kafka's own tool."""
    tool.chmod(0o755)
    environment = {name: str(value) for name, value in SERVICE["environment"].items()} | {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
    }
    script = [*SERVICE["entrypoint"][:-1], str(DEPLOY / "kafka" / "create-topics.sh")]
    ran = subprocess.run(script, check=False, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


def parse_calls(calls: str) -> dict[str, TopicSpec]:
    """Parse the command lines of all calls of the tool, one per line."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--topic")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--config", action="append", default=[])
    given = [parser.parse_known_args(call.split())[0] for call in calls.splitlines()]
    return {
        each.topic: TopicSpec(each.topic, each.partitions, dict(pair.split("=") for pair in each.config))
        for each in given
    }


def test_the_script_creates_exactly_the_topics_of_the_list(tmp_path: Path) -> None:
    tool, calls = tmp_path / "kafka-topics.sh", tmp_path / "calls"
    tool.write_text(f'#!/bin/bash\necho "$@" >> {calls}\n')
    run_script(tool, "broker:9092")
    made = parse_calls(calls.read_text())
    partitions, largest_frame = made["frames"].partitions, int(made["frames"].config["max.message.bytes"])
    wanted = {each.name: each for each in Topics().specs(partitions=partitions, largest_frame=largest_frame)}

    assert partitions == int(SERVICE["environment"]["PARTITIONS"])
    assert made.keys() == wanted.keys()
    for role, name in Topics().in_use().items():
        assert wanted[name].config.items() <= made[name].config.items()
        assert made[name].partitions >= (partitions if NEEDS[role].partitions_as_frames else 1)


def test_all_services_use_the_topics_of_the_script(tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(read_yaml(DEPLOY / "kubernetes" / "configmap.yaml")["data"]["worker.yaml"])
    worker, producer = services()["worker"], services()["producer"]

    assert settings_of(worker["environment"]).topics == Topics()
    assert settings_of({}, config).topics == Topics()
    assert understood(producer["command"], producer["environment"])["topic"] == Topics().frames


@pytest.mark.kafka
def test_the_topics_meet_the_workers_requirements(tmp_path: Path) -> None:
    tool = tmp_path / "kafka-topics.sh"
    tool.write_text(KAFKA_TOPICS)
    with LocalKafka() as kafka:
        for _ in range(2):  # the second run finds nothing to do
            run_script(tool, kafka.bootstrap_servers)
        found = KafkaAdmin(kafka.bootstrap_servers, {}).topics(Topics().in_use().values())
    findings = Findings()
    judge_topics(Topics(), found, findings)
    assert findings.faults == []
    assert findings.warnings == []
    assert found["frames"].partitions == int(SERVICE["environment"]["PARTITIONS"])
    assert found["accuracy"].config["cleanup.policy"] == "compact"
