"""The commands that run, as a person runs them: produce, run, tail."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.cameras import pictures
from tests.support.schemas import check_json
from tests.support.workers import Stage, model_folder, stage, wait_until
from worker.domain.records import OutboundRecord
from worker.local.guarded import GuardedProcess
from worker.models.container import cores

PICTURES = 6
FRAMES = PICTURES + 1
"""One of them is no picture."""
SECRET = "geheim"  # noqa: S105 that it is hidden is what is tested


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "worker", *words]


def ran(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(command(*words), env=environment, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A folder of pictures was sent, a worker has answered, and was asked to end.

    Attributes:
        said: all that the worker printed.
        status: its exit status.
    """

    stage: Stage
    produced: subprocess.CompletedProcess[str]
    said: str
    status: int


@pytest.fixture(scope="module")
def session(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("cli")
    shown = folder / "chelsea"
    shown.mkdir()
    for number, picture in enumerate(pictures(0)[:PICTURES]):
        (shown / f"{number}.jpg").write_bytes(picture)
    with stage(bootstrap_servers, partitions=2) as on:
        settings = on.settings(ops={"log_format": "console", "status_s": 0.5})
        settings["kafka"]["options"] = {"sasl.username": "worker", "sasl.password": SECRET}
        settings["model"] = {"path": str(model_folder())}  # as from the box: the worker chooses the rest
        config, log = folder / "settings.yaml", folder / "worker.log"
        config.write_text(yaml.safe_dump(settings))
        as_set = {"VISION_WORKER_MODEL__ENGINE": None}
        command_line = command("run", "--config", str(config), "--model", "mobilenet_v2")
        worker = GuardedProcess([command_line], log=log, environment=as_set)
        try:
            produced = ran(
                "produce", str(shown), "--topic", on.frames, "--rate", "50", "--label", "Egyptian cat", "--json",
                KAFKA_BOOTSTRAP_SERVERS=bootstrap_servers,
            )  # fmt: skip
            on.send([_no_picture(on)])
            wait_until(lambda: not worker.alive or on.committed() == on.ends(), "all is committed")
            wait_until(lambda: not worker.alive or "labelled right" in log.read_text(), "the status line says so")
            status = worker.stop()
        finally:
            worker.kill()
        yield Session(on, produced, log.read_text(), status)


def _no_picture(on: Stage) -> OutboundRecord:
    return OutboundRecord(on.frames, 0, b"chelsea", b"no picture")


def test_produce_sends_a_folder_and_says_so(session: Session) -> None:
    said = json.loads(session.produced.stdout)

    on = session.stage
    assert session.produced.returncode == 0
    assert session.produced.stderr == f"sending to topic {on.frames!r} at {on.servers}; Ctrl-C stops it\n"
    assert (said["frames"], said["cameras"], said["confirmed"]) == (PICTURES, {"chelsea": PICTURES}, True)
    assert [each.frame.id for each in on.read_predictions()] == [f"{number}.jpg" for number in range(PICTURES)]


def test_a_worker_ends_well_when_asked_to(session: Session) -> None:
    assert session.status == 0
    assert "Traceback" not in session.said
    assert re.search(r"drained +.*frames_left=0", session.said)


def test_a_worker_says_the_settings_that_are_not_as_usual_and_keeps_its_secrets(session: Session) -> None:
    said = session.said.splitlines()
    heading = " settings, as far as they are not the defaults (all: vision-worker settings):"
    (begin,) = (number for number, line in enumerate(said, start=1) if line.endswith(heading))
    shown = {
        name: (value, where) for name, value, where in (line.split(maxsplit=2) for line in said[begin : begin + 9])
    }

    assert shown["topics.frames"][0] == session.stage.frames
    assert shown["topics.frames"][1].endswith("settings.yaml")
    assert shown["model.name"] == ("mobilenet_v2", "command line")
    assert "'sasl.password': '******'" in session.said
    assert SECRET not in session.said
    assert "limits.memory" not in session.said, "nobody has set it"


def test_a_worker_says_what_it_has_chosen_for_this_machine_and_why(session: Session) -> None:
    count = cores()
    why = r"it agrees with torch within \de-\d\d on \d+ pictures"

    assert re.search(rf" auto: model\.engine=openvino, model\.streams={count} \({why}\)\n", session.said)
    assert re.search(r"\n  model\.engine +openvino +auto\n", session.said)
    assert re.search(rf"\n  model\.streams +{count} +auto\n", session.said)


def test_a_worker_says_that_it_is_ready_what_it_does_and_what_it_did(session: Session) -> None:
    said = session.said
    ready = re.search(r" ready: mobilenet_v2@\w+ reads topic '(.*)' as group '(.*)'\n  metrics: (\S+)/metrics\n", said)
    assert ready is not None
    assert ready.groups()[:2] == (session.stage.frames, session.stage.group)
    assert re.search(r"  next, in another terminal: vision-worker tail predictions --config \S+\n", said)
    pace = r"(\d\S*/s|none for \d+ s)"
    assert re.search(rf" {FRAMES} frames, {pace}, .* of {PICTURES} labelled right, lag 0, 1 dead letter\n", said)
    *_, last, predictions, letters = said.splitlines()
    did = f"{FRAMES} frames, {PICTURES} predicted, 1 dead letter (1 not-a-picture)"
    assert re.search(rf" stopped after \d+ s: {re.escape(did)}", last)
    assert predictions.startswith(f"  predictions are in topic '{session.stage.predictions}': vision-worker tail")
    assert letters.startswith("  dead letters: vision-worker deadletters list --config ")


def test_a_second_worker_whose_port_is_set_and_taken_ends_before_it_loads_its_model(
    bootstrap_servers: str, tmp_path: Path
) -> None:
    with stage(bootstrap_servers, partitions=1) as on, socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = tmp_path / "settings.yaml"
        config.write_text(yaml.safe_dump(on.settings(ops={"port": port, "log_format": "console"})))
        refused = ran("run", "--config", str(config))

    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last == (
        f"error ops.port: another program has port {port} of 127.0.0.1; set ops.port to a free one, or to 0 for any"
    )
    assert "model ready" not in refused.stderr


def test_tail_shows_predictions_to_people(session: Session) -> None:
    tailed = _tail(session.stage, "predictions", session.stage.predictions, PICTURES)

    assert (tailed.returncode, tailed.stderr) == (0, "")
    lines = tailed.stdout.splitlines()
    assert len(lines) == PICTURES
    assert all(re.match(r"[+-] chelsea +\S.* +\d+\.\d% +\d+ ms  label Egyptian cat", line) for line in lines)


def test_tail_shows_each_kind_to_programs(session: Session) -> None:
    on = session.stage
    (prediction,) = _tail(on, "predictions", on.predictions, 1, "--json").stdout.splitlines()
    (accuracy,) = _tail(on, "accuracy", on.accuracy, 1, "--json").stdout.splitlines()
    (letter,) = _tail(on, "dead-letters", on.dead_letters, 1, "--json").stdout.splitlines()

    assert check_json("prediction", prediction.encode())["frame"]["camera"] == "chelsea"
    assert check_json("accuracy", accuracy.encode())["camera"] == "chelsea"
    assert json.loads(letter)["report"]["reason"] == "not-a-picture"


def test_tail_of_a_missing_topic_says_so(bootstrap_servers: str) -> None:
    tailed = ran("tail", "predictions", "--topic", "no-such-topic", KAFKA_BOOTSTRAP_SERVERS=bootstrap_servers)

    assert tailed.returncode == 1
    assert f"topic 'no-such-topic' does not exist at {bootstrap_servers}" in tailed.stderr
    assert "Traceback" not in tailed.stderr


@pytest.mark.parametrize(
    ("group", "option"),
    [("consumer", "enable.auto.commit"), ("producer", "acks")],
)
def test_a_worker_refuses_an_option_before_anything_runs(
    bootstrap_servers: str, tmp_path: Path, group: str, option: str
) -> None:
    config = tmp_path / "settings.yaml"
    settings = {
        "kafka": {"bootstrap_servers": bootstrap_servers, group: {option: "1"}},
        "model": {"path": str(model_folder())},
        "ops": {"port": 0},
    }
    config.write_text(yaml.safe_dump(settings))
    refused = ran("run", "--config", str(config))

    assert refused.returncode == 2
    assert option in refused.stderr
    assert "Traceback" not in refused.stderr


def _tail(on: Stage, kind: str, topic: str, count: int, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(
        "tail", kind, "--topic", topic, "--from-beginning", "-n", str(count), *words, KAFKA_BOOTSTRAP_SERVERS=on.servers
    )
