"""tail, produce and deadletters find the brokers, options and topics of the settings, and say what they wait for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cameras import pictures
from tests.support.commands import command, environment, ran
from tests.support.secured import Rule, Secured, secured
from tests.support.workers import wait_until
from worker.adapters.kafka import KafkaAdmin, Topic
from worker.local.guarded import GuardedProcess

CREATE = "create it with vision-worker topics apply"
TOPICS = {"frames": "seen-frames", "predictions": "seen-predictions", "dead_letters": "seen-letters"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as found:
        KafkaAdmin(found.servers, {}).create(Topic(name, 2) for name in [*TOPICS.values(), "seen-letters-replayed"])
        found.allow(
            *(Rule(right, "TOPIC", "seen-", prefixed=True) for right in ("READ", "WRITE", "DESCRIBE")),
        )
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chelsea").mkdir()
    for number, picture in enumerate(pictures(0)[:3]):
        (tmp_path / "chelsea" / f"{number}.jpg").write_bytes(picture)
    return tmp_path / "chelsea"


def written(file: Path, kafka: Mapping[str, Any]) -> Path:
    file.write_text(yaml.safe_dump({"kafka": dict(kafka), "topics": TOPICS, "model": {"device": "wrong"}}))
    return file


def given(broker: Secured) -> list[str]:
    words = [f"{name}={value}" for name, value in broker.login().items()]
    return ["-b", broker.at("PASSWORD"), *(word for each in words for word in ("-X", each))]


def test_all_three_reach_a_secured_kafka_through_the_settings(broker: Secured, folder: Path, tmp_path: Path) -> None:
    config = written(tmp_path / "on.yaml", {"bootstrap_servers": broker.at("PASSWORD"), "options": broker.login()})
    sent = ran("produce", str(folder), "--rate", "100", "--json", "-c", str(config), cache=tmp_path)
    listed = ran("deadletters", "list", "-c", str(config), cache=tmp_path)

    assert (sent.returncode, json.loads(sent.stdout)["topic"], json.loads(sent.stdout)["frames"]) == (
        0,
        "seen-frames",
        3,
    )
    assert sent.stderr == f"sending to topic 'seen-frames' at {broker.at('PASSWORD')}; Ctrl-C stops it\n"
    assert (listed.returncode, listed.stdout.splitlines()[-1]) == (0, "     0  in total, of topic 'seen-letters'")
    assert waiting(tmp_path, "-c", str(config), "--from-beginning") == [
        f"waiting for records in topic 'seen-predictions' at {broker.at('PASSWORD')}",
        "it has none; a worker writes them",
    ]


def test_all_three_reach_a_secured_kafka_through_the_command_line(
    broker: Secured, folder: Path, tmp_path: Path
) -> None:
    sent = ran("produce", str(folder), "--topic", "seen-frames", "--rate", "100", *given(broker), cache=tmp_path)

    assert sent.returncode == 0
    assert waiting(tmp_path, *given(broker), "--topic", "seen-frames")[-1] in (
        "it has 3 older ones: --from-beginning shows them",
        "it has 6 older ones: --from-beginning shows them",
    )


def test_the_command_line_wins_over_wrong_settings(broker: Secured, tmp_path: Path) -> None:
    wrong = broker.login(password="wrong")  # noqa: S106 that it is wrong is what is tested
    config = written(tmp_path / "on.yaml", {"bootstrap_servers": "localhost:1", "options": wrong})
    listed = ran("tail", "predictions", "--topic", "none", "-c", str(config), *given(broker), cache=tmp_path)

    assert listed.returncode == 1
    assert "this user may not see topic 'none'" in listed.stderr


def test_a_missing_topic_is_told_with_the_one_that_is_meant_or_how_to_create_it(
    broker: Secured, folder: Path, tmp_path: Path
) -> None:
    plain = ["-b", broker.servers]
    near = ran("tail", "predictions", "--topic", "seen-prediction", *plain, cache=tmp_path)
    new = ran("tail", "predictions", *plain, cache=tmp_path)
    unsent = ran("produce", str(folder), *plain, cache=tmp_path)

    assert near.stderr.endswith("; did you mean seen-predictions?\n")
    assert new.stderr.endswith(f"topic 'predictions' does not exist at {broker.servers}; {CREATE}\n")
    assert "topic 'frames' does not exist; did you mean seen-frames? Otherwise create the topic with " in unsent.stderr


def waiting(folder: Path, *words: str) -> list[str]:
    """Return what `tail predictions` says until it waits."""
    log = folder / "tail.log"
    log.unlink(missing_ok=True)
    process = GuardedProcess([command("tail", "predictions", *words)], log=log, environment=environment(folder))
    try:
        wait_until(lambda: not process.alive or len(log.read_text().splitlines()) > 1, "tail says what it waits for")
    finally:
        process.kill()
    return log.read_text().splitlines()[:2]
