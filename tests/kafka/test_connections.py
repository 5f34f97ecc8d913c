"""Why a client cannot connect: every command says it, and how to mend it. `tests.support.connections` has the cases."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import worker.models.preparation  # noqa: F401 loads libraries that set variables of the environment
from tests.support.connections import CASES, NOBODY, Place, place_of_failures, said
from tests.support.workers import PATIENCE, WarmWorker, model_folder, wait_until
from worker.adapters.kafka import BrokerUnreachable, KafkaAdmin, NotAllowed
from worker.cli import app
from worker.local.broker import LocalKafka
from worker.local.node import NodeSettings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of_failures(tmp_path_factory.mktemp("certificates")) as found:
        yield found


@pytest.fixture(scope="module")
def texts(place: Place) -> Mapping[str, str]:
    """Return what each case says: several at a time, because most of them wait."""
    with ThreadPoolExecutor(6) as pool:
        return dict(zip(CASES, pool.map(lambda case: said(case, place), CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_failed_connection_tells_its_cause_and_what_to_do(place: Place, texts: Mapping[str, str], name: str) -> None:
    case, text = CASES[name], texts[name]
    assert text.startswith(case.begins(place))
    assert case.says in text
    assert text.endswith(case.advice)


@pytest.mark.parametrize(
    ("listener", "options"),
    [
        ("PASSWORD", lambda broker: broker.login()),
        ("PASSWORD", lambda broker: broker.login("SCRAM-SHA-256")),
        ("PASSWORD_TLS", lambda broker: broker.tls() | broker.login() | {"security.protocol": "SASL_SSL"}),
        ("TLS", lambda broker: broker.tls()),
        ("MUTUAL", lambda broker: broker.tls(ssl_certificate_location="client", ssl_key_location="client")),
        ("TOKEN", lambda broker: broker.token()),
        ("OTHER_NAME", lambda broker: broker.tls() | {"ssl.endpoint.identification.algorithm": "none"}),
    ],
)
def test_what_is_right_connects(place: Place, listener: str, options: Any) -> None:
    with suppress(NotAllowed):  # which is told by a broker
        KafkaAdmin(place.broker.at(listener), options(place.broker), timeout=60).topics(["frames"])


# ----- each command


def _settings(servers: str, options: Mapping[str, str], **kafka: Any) -> dict[str, Any]:
    return {
        "kafka": {"bootstrap_servers": servers, "options": dict(options), **kafka},
        "model": {"path": str(model_folder())},
        "ops": {"port": 0, "log_format": "json"},
    }


WRONG = CASES["wrong password, PLAIN"]
COMMANDS = {
    "tail": ["tail", "predictions", "-b", "SERVERS", "OPTIONS"],
    "produce": ["produce", "FOLDER", "-b", "SERVERS", "OPTIONS"],
    "deadletters list": ["deadletters", "list", "-c", "CONFIG"],
    "deadletters replay": ["deadletters", "replay", "--go", "-c", "CONFIG"],
    "topics plan": ["topics", "plan", "-c", "CONFIG"],
    "topics apply": ["topics", "apply", "-c", "CONFIG"],
    "export": ["export", "FOLDER/out", "--from", "1h", "-c", "CONFIG"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_that_connects_tells_the_cause(place: Place, words: list[str], tmp_path: Path) -> None:
    servers, options = WRONG.at(place), WRONG.options(place)
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump(_settings(servers, options)))
    (tmp_path / "frame.jpg").write_bytes(b"picture")
    given = {"SERVERS": servers, "CONFIG": str(config), "FOLDER": str(tmp_path), "FOLDER/out": str(tmp_path / "out")}
    more = [word for name, value in options.items() for word in ("-X", f"{name}={value}")]
    called = [given.get(word, word) for word in words if word != "OPTIONS"] + more * ("OPTIONS" in words)
    ran = CliRunner().invoke(app, called)

    assert isinstance(ran.exception, BrokerUnreachable), ran.output
    assert WRONG.says in str(ran.exception)
    assert str(ran.exception).endswith(WRONG.advice)


def test_check_tells_the_cause_among_the_other_faults(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump(_settings(WRONG.at(place), WRONG.options(place)) | {"model": {"path": "/none"}}))
    ran = CliRunner().invoke(app, ["check", "-c", str(config), "--json"])
    broker, model = json.loads(ran.output)["faults"]

    assert ran.exit_code == 2
    assert broker.startswith("kafka.bootstrap_servers: the brokers at ")
    assert broker.endswith(WRONG.advice)
    assert model.startswith("model: ")


# ----- a worker that starts before its brokers


def _last(worker: WarmWorker) -> dict[str, Any]:
    wait_until(lambda: not worker.alive, "the worker ends")
    return worker.said()[-1]


def test_a_worker_does_not_wait_after_a_wrong_password(place: Place, tmp_path: Path) -> None:
    with WarmWorker(_settings(WRONG.at(place), WRONG.options(place), wait_s=10_000), tmp_path) as worker:
        last = _last(worker)

        assert (last["event"], last["kind"], worker.stop()) == ("stopped", "BrokerUnreachable", 1)
        assert last["error"].endswith(WRONG.advice)


def test_a_worker_waits_for_its_brokers_says_so_and_gives_up(tmp_path: Path) -> None:
    with WarmWorker(_settings(NOBODY, {}, wait_s=1), tmp_path) as worker:
        last = _last(worker)
        (waiting,) = [line for line in worker.said() if line["event"] == "waiting for brokers"]

    assert (waiting["servers"], waiting["for_at_most_s"]) == (NOBODY, 1)
    assert "Connection refused" in waiting["cause"]
    assert last["kind"] == "BrokerUnreachable"
    assert last["error"].startswith(f"no broker answered at {NOBODY} within 1 s: ")
    assert "Connection refused" in last["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(tmp_path: Path, number: signal.Signals) -> None:
    """With so long a wait, the test would not end if the signal did not end it."""
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump(_settings(NOBODY, {}, wait_s=10_000)))
    command = [sys.executable, "-m", "worker", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        try:
            said = next(line for line in worker.stderr if "waiting for brokers" in line)
            worker.send_signal(number)
            rest = worker.stderr.read()

            assert "Connection refused" in said
            assert worker.wait(PATIENCE) == 0
            assert "Traceback" not in rest
        finally:
            worker.kill()


def test_a_worker_that_waits_goes_on_once_a_broker_is_there(tmp_path: Path) -> None:
    """It then finds that there are no topics: that is said by brokers that answer."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    def also_there(settings: NodeSettings) -> NodeSettings:
        return settings | {
            "listeners": f"{settings['listeners']},LATER://127.0.0.1:{port}",
            "advertised.listeners": f"{settings['advertised.listeners']},LATER://127.0.0.1:{port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LATER:PLAINTEXT",
        }

    with WarmWorker(_settings(f"127.0.0.1:{port}", {}, wait_s=10_000), tmp_path) as worker:
        wait_until(lambda: any(line["event"] == "waiting for brokers" for line in worker.said()), "the worker waits")
        with LocalKafka(adjust=also_there):
            last = _last(worker)

    assert last["kind"] == "SettingsError", last["error"]
    assert "topics.frames: topic 'frames' does not exist" in last["error"]
