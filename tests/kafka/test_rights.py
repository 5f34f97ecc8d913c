"""The smallest rights of a worker, as `docs/security.md` gives them, on a broker with Kafka's StandardAuthorizer."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from typer.testing import CliRunner

import worker.models.preparation  # noqa: F401 loads libraries that set variables of the environment
from tests.support.cameras import Cameras
from tests.support.secured import Rule, Secured, secured
from tests.support.workers import Stage, WorkerProcess, stage, wait_until
from worker import wire
from worker.cli import app
from worker.settings import Topics

DOCS = Path(__file__).parents[2] / "docs" / "security.md"
GUARANTEES = ("at_least_once", "exactly_once")


def documented(guarantee: str, on: Stage) -> list[Rule]:
    """Read the rules of the page, with the names of a stage instead of the default ones."""
    commands = re.findall(r"^# (at least once|exactly once)|^\$acls (.*)$", DOCS.read_text(), re.MULTILINE)
    part, rules = "", list[Rule]()
    for heading, arguments in commands:
        part = heading or part
        if arguments and (part == "at least once" or guarantee == "exactly_once"):
            rules += _rules(shlex.split(arguments), on)
    return rules


def _rules(words: Sequence[str], on: Stage) -> Iterator[Rule]:
    options = list(zip(words[::2], words[1::2], strict=True))
    (resource, name), *_ = [(option, value) for option, value in options if option in RESOURCES]
    roles = {default: role for role, default in Topics().in_use().items()}
    if resource == "--topic":
        name = on.topics.in_use()[roles[name]]
    name = name.replace("vision-worker", on.group)
    prefixed = ("--resource-pattern-type", "prefixed") in options
    for option, operation in options:
        if option == "--operation":
            yield Rule(operation.upper(), RESOURCES[resource], name, prefixed)


RESOURCES = {"--topic": "TOPIC", "--group": "GROUP", "--transactional-id": "TRANSACTIONAL_ID"}


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


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_worker_runs_with_the_documented_rights(limited: Limited, tmp_path: Path, guarantee: str) -> None:
    on = limited.stage
    limited.broker.allow(*documented(guarantee, on))
    cameras = Cameras(on)
    for _ in range(2):  # the second worker reads back what the first has counted
        cameras.send(6)
        with WorkerProcess(limited.settings(guarantee), tmp_path) as worker:
            wait_until(lambda: not worker.alive or on.committed() == on.ends(), "all is committed")
            assert worker.stop() == 0, worker.log.read_text()

    seen = sum(tally.seen for tally in wire.newest_tallies(on.read(on.accuracy)))
    assert seen == len(on.read_predictions()) == sum(on.ends().values())


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_check_finds_no_fault_with_the_documented_rights(limited: Limited, tmp_path: Path, guarantee: str) -> None:
    limited.broker.allow(*documented(guarantee, limited.stage))
    faults, warnings = limited.faults(tmp_path, guarantee)

    assert faults == []
    (warning,) = warnings
    assert warning.endswith("allow it to DescribeConfigs the topics")


def test_check_names_each_right_that_is_missing(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    rules = documented("exactly_once", on)
    for missing in rules:
        limited.broker.allow(*(rule for rule in rules if rule != missing))
        faults, _ = limited.faults(tmp_path, "exactly_once")

        assert len(faults) == 1, (missing, faults)
        assert missing.prefixed or missing.name in faults[0]
        assert "allow" in faults[0]


def test_a_worker_without_a_right_stops_before_it_loads_its_model(limited: Limited, tmp_path: Path) -> None:
    on = limited.stage
    limited.broker.allow(*(rule for rule in documented("at_least_once", on) if rule.name != on.dead_letters))
    settings = limited.settings() | {"model": {"path": str(tmp_path / "none"), "profile": "off"}}
    with WorkerProcess(settings, tmp_path) as worker:
        wait_until(lambda: not worker.alive, "the worker ends")
        last = worker.said()[-1]

        assert (last["kind"], worker.stop()) == ("SettingsError", 2)
        assert last["error"] == (
            f"topics.dead_letters: this user may not see topic {on.dead_letters!r}, if it exists: allow it to Describe "
            "the topic"
        )


def test_tail_needs_no_group(limited: Limited) -> None:
    on = limited.stage
    limited.broker.allow(Rule("READ", "TOPIC", on.frames))
    Cameras(on).send(1)
    options = [word for name, value in limited.broker.login().items() for word in ("-X", f"{name}={value}")]
    words = ["tail", "skipped", "--topic", on.frames, "--from-beginning", "-n", "1", "--json"]
    ran = CliRunner().invoke(app, [*words, "-b", limited.broker.at("PASSWORD"), *options])

    assert ran.exit_code == 0, ran.exception
    assert ran.output


# ----- topics that would do harm


def _judged(limited: Limited, tmp_path: Path, name: str, policy: str) -> list[str]:
    limited.broker.allow(*documented("at_least_once", limited.stage), Rule("DESCRIBE_CONFIGS", "TOPIC", name))
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
