"""The rights of `vision-worker topics acls`, and no others, on a broker with Kafka's StandardAuthorizer."""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from typer.testing import CliRunner, Result

import worker.models.preparation  # noqa: F401 loads libraries that set variables of the environment
from tests.support.cameras import Cameras, pictures
from tests.support.secured import USER, Rule, Secured, secured
from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.adapters.kafka import KafkaAdmin, NotAllowed, Topic
from worker.app.rights import RIGHTS, Right, Subject
from worker.cli import app
from worker.domain.records import OutboundRecord
from worker.settings import Delivery, Kafka

GUARANTEES = ("at_least_once", "exactly_once")


def needed(command: str, on: Stage, guarantee: str = "at_least_once") -> list[Rule]:
    """Return the rights that a command is said to need, for the topics and the group of a stage."""
    kafka = Kafka(bootstrap_servers=on.servers, group_id=on.group)
    delivery = Delivery.model_validate({"guarantee": guarantee})
    return [_rule(right) for right in RIGHTS[command](Subject(kafka, on.topics, delivery))]


def _rule(right: Right) -> Rule:
    operation = re.sub(r"(?<!^)(?=[A-Z])", "_", right.operation).upper()  # DescribeConfigs is DESCRIBE_CONFIGS
    resource = {"cluster": "BROKER"}.get(right.resource, right.resource.replace("-", "_").upper())
    return Rule(operation, resource, right.name or "kafka-cluster", right.prefixed)


@dataclass(frozen=True, slots=True)
class Limited:
    """Topics on the broker, and a user who may do what a test allows."""

    broker: Secured
    stage: Stage

    def settings(self, guarantee: str = "at_least_once", **kafka: Any) -> dict[str, dict[str, Any]]:
        """Return the settings of a worker that logs in with SCRAM."""
        login = {"bootstrap_servers": self.broker.at("PASSWORD"), "options": self.broker.login("SCRAM-SHA-256")}
        return self.stage.settings(kafka=login | kafka, delivery={"guarantee": guarantee})

    def faults(self, folder: Path, guarantee: str = "at_least_once") -> tuple[list[str], list[str]]:
        """Return what `check` finds of the cluster: faults and warnings."""
        settings = self.settings(guarantee) | {"model": {"path": str(folder / "none")}}
        config = folder / "settings.yaml"
        config.write_text(yaml.safe_dump(settings))
        ran = CliRunner().invoke(app, ["check", "-c", str(config), "--json"])
        assert ran.exit_code == 2, ran.exception  # there is no model
        said = json.loads(ran.output)
        return [fault for fault in said["faults"] if not fault.startswith("model: ")], said["warnings"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("certificates")) as found:
        yield found


@pytest.fixture
def limited(broker: Secured) -> Iterator[Limited]:
    with stage(broker.servers, partitions=2) as on:
        yield Limited(broker, on)


@pytest.mark.parametrize("guarantee", [pytest.param("at_least_once", marks=pytest.mark.thorough), "exactly_once"])
def test_a_worker_runs_with_the_rights_of_the_list(limited: Limited, tmp_path: Path, guarantee: str) -> None:
    on = limited.stage
    limited.broker.allow(*needed("run", on, guarantee))
    cameras = Cameras(on)
    for _ in range(2):  # the second worker reads back what the first has counted
        cameras.send(6)
        with WarmWorker(limited.settings(guarantee), tmp_path) as worker:
            wait_until(lambda: not worker.alive or on.committed() == on.ends(), "all is committed")
            assert worker.stop() == 0, worker.log.read_text()

    seen = sum(tally.seen for tally in wire.newest_tallies(on.read(on.accuracy)))
    assert seen == len(on.read_predictions()) == sum(on.ends().values())


def test_a_worker_runs_with_tokens(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    limited.broker.allow(*needed("run", on, "exactly_once"))
    login = {"bootstrap_servers": limited.broker.at("TOKEN"), "options": limited.broker.token()}
    Cameras(on).send(6)
    with WarmWorker(limited.settings("exactly_once", **login), tmp_path) as worker:
        wait_until(lambda: not worker.alive or on.committed() == on.ends(), "all is committed")
        assert worker.stop() == 0, worker.log.read_text()
    assert len(on.read_predictions()) == sum(on.ends().values())


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_check_finds_no_fault_with_the_rights_of_the_list(limited: Limited, tmp_path: Path, guarantee: str) -> None:
    limited.broker.allow(*needed("run", limited.stage, guarantee))
    faults, warnings = limited.faults(tmp_path, guarantee)

    assert faults == []
    (warning,) = warnings
    assert warning.endswith("allow it to DescribeConfigs the topics")


def test_check_compares_everything_with_its_own_rights_too(limited: Limited, tmp_path: Path) -> None:
    limited.broker.allow(*needed("run", limited.stage), *needed("check", limited.stage))

    faults, warnings = limited.faults(tmp_path)
    assert faults == []
    assert ["max.message.bytes=" in warning for warning in warnings] == [True], "of the dead letters, which it may read"


def test_check_names_each_right_that_is_missing(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    rules = needed("run", on, "exactly_once")
    for missing in rules:
        limited.broker.allow(*(rule for rule in rules if rule != missing))
        faults, _ = limited.faults(tmp_path, "exactly_once")

        assert len(faults) == 1, (missing, faults)
        assert missing.prefixed or missing.name in faults[0]
        assert "allow" in faults[0]


def test_check_ends_with_the_command_that_prints_the_rights(limited: Limited, tmp_path: Path) -> None:
    ran = run_limited(limited, ["check"], tmp_path, [])
    config = tmp_path / "settings.yaml"

    assert ran.output.splitlines()[-1] == (
        f"next    vision-worker topics acls --config {config} --user {USER} prints the commands that allow it"
    )


def test_a_worker_without_a_right_stops_before_it_loads_its_model(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    limited.broker.allow(*(rule for rule in needed("run", on) if rule.name != on.dead_letters))
    settings = limited.settings() | {"model": {"path": str(tmp_path / "none"), "profile": "off"}}
    with WarmWorker(settings, tmp_path) as worker:
        wait_until(lambda: not worker.alive, "the worker ends")
        last = worker.said()[-1]

        assert (last["kind"], worker.stop()) == ("SettingsError", 2)
        assert last["error"] == (
            f"topics.dead_letters: this user may not see topic {on.dead_letters!r}, if it exists: allow it to Describe "
            "the topic"
        )


COMMANDS = {
    "produce": ["produce", "FOLDER/pictures"],
    "tail": ["tail", "accuracy", "--from-beginning", "-n", "1"],
    "export": ["export", "FOLDER/out", "--from", "1h"],
    "deadletters": ["deadletters", "list"],
    "deadletters replay": ["deadletters", "replay", "--go"],
}
"""A command of each entry of the list. Others are tested above and below."""


def test_every_entry_is_tested() -> None:
    assert RIGHTS.keys() - {"run", "check", "topics"} == COMMANDS.keys()


@pytest.fixture(scope="module")
def worked(broker: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """Let a worker predict some frames and refuse one."""
    folder = tmp_path_factory.mktemp("worked")
    with stage(broker.servers, partitions=1) as on:
        cameras = Cameras(on)
        cameras.send(3)
        on.send([OutboundRecord(on.frames, None, b"camera", b"no picture")])
        with WarmWorker(on.settings(), folder) as worker:
            wait_until(lambda: not worker.alive or on.committed() == on.ends(), "all is committed")
        yield Limited(broker, on)


def run_limited(worked: Limited, words: Sequence[str], folder: Path, rules: Sequence[Rule]) -> Result:
    """Run a command whose user has these rights and no others."""
    config = folder / "settings.yaml"
    config.write_text(yaml.safe_dump(worked.settings()))
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "pictures" / "one.jpg").write_bytes(pictures(0)[0])
    worked.broker.allow(*rules)
    given = [word.replace("FOLDER", str(folder)) for word in words]
    return CliRunner().invoke(app, [*given, "--config", str(config)])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_with_the_rights_of_the_list(worked: Limited, tmp_path: Path, command: str) -> None:
    ran = run_limited(worked, COMMANDS[command], tmp_path, needed(command, worked.stage))

    assert ran.exit_code == 0, ran.exception
    assert ran.output


def test_topics_are_planned_created_and_changed_with_the_rights_of_the_list(broker: Secured, tmp_path: Path) -> None:
    on = Stage(broker.servers, f"test-{uuid.uuid4().hex[:12]}", 1, AdminClient({"bootstrap.servers": broker.servers}))
    KafkaAdmin(broker.servers, {}).create([Topic(on.accuracy, 1)])
    rules = needed("topics", on)
    for words in (["plan"], ["apply", "--yes", "--partitions", "2"], ["plan", "--exit-code"]):
        ran = run_limited(Limited(broker, on), ["topics", *words], tmp_path, rules)
        assert ran.exit_code == 0, ran.exception


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ("CREATE", "was not created: Authorization failed; allow this user to Create it, with an ACL"),
        ("ALTER", "got no more partitions: Broker: Topic authorization failed; allow this user to Alter it, with"),
        ("ALTER_CONFIGS", "was not configured: Topic authorization failed; allow this user to AlterConfigs it, with"),
    ],
    ids=["create", "alter", "alter configs"],
)
def test_a_right_that_a_change_of_topics_needs_is_named(
    broker: Secured, tmp_path: Path, operation: str, says: str
) -> None:
    on = Stage(broker.servers, f"test-{uuid.uuid4().hex[:12]}", 1, AdminClient({"bootstrap.servers": broker.servers}))
    KafkaAdmin(broker.servers, {}).create([Topic(on.accuracy, 1)])
    rules = [rule for rule in needed("topics", on) if rule.operation != operation]
    seen = (rule._replace(operation=each) for rule in rules for each in ("DESCRIBE", "DESCRIBE_CONFIGS"))
    rules = list(dict.fromkeys([*rules, *seen]))
    ran = run_limited(Limited(broker, on), ["topics", "apply", "--yes", "--partitions", "2"], tmp_path, rules)

    assert isinstance(ran.exception, NotAllowed)
    assert says in str(ran.exception)


# ----- topics that would do harm


def _judged(limited: Limited, tmp_path: Path, name: str, policy: str) -> list[str]:
    limited.broker.allow(*needed("run", limited.stage), Rule("DESCRIBE_CONFIGS", "TOPIC", name))
    config = [ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)]
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=config)
    limited.stage.admin.incremental_alter_configs([resource])[resource].result(30)
    return limited.faults(tmp_path)[0]


def test_compacted_dead_letters_and_frames_are_found(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    for name in (on.frames, on.dead_letters):
        assert any(
            "set it to delete, as vision-worker topics apply does" in each
            for each in _judged(limited, tmp_path, name, "compact")
        )


def test_accuracy_that_is_not_compacted_is_found(limited: Limited, tmp_path: Path) -> None:
    (fault,) = _judged(limited, tmp_path, limited.stage.accuracy, "delete")

    assert "set it to compact, as vision-worker topics apply does" in fault
