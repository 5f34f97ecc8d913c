"""The examples of `docs/security.md` connect to a real broker, and its rights are those that the command prints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from typer.testing import CliRunner

from tests.docs.pages import ROOT, read_page
from tests.support.secured import PASSWORD, Secured, secured
from tests.support.tokens import SECRET
from worker.cli import app

PAGE = read_page(ROOT / "docs" / "security.md")
EXAMPLES = [block.text for block in PAGE.blocks if block.language == "yaml"]
LISTENERS = ("MUTUAL", "PASSWORD_TLS", "TOKEN")
"""Of the examples, in their order."""
KEY_PASSWORD = "of the key"  # noqa: S105 of a key that lives as long as a test


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("certificates")) as found:
        yield found


def mounted(text: str, broker: Secured, listener: str, folder: Path) -> str:
    """Return an example with the addresses and files of this machine; they have what the example says."""
    files = {"kafka-password": PASSWORD, "kafka-key-password": KEY_PASSWORD}
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    key = load_pem_private_key((broker.folder / "client.pem").read_bytes(), None)
    locked = BestAvailableEncryption(KEY_PASSWORD.encode())
    (folder / "worker.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    here = {
        "broker:9093": broker.at(listener),
        "/run/secrets": str(folder),
        "/etc/kafka/ca.pem": str(broker.folder / "authority.pem"),
        "/etc/kafka/worker.pem": str(broker.folder / "client.pem"),
        "/etc/kafka/worker.key": str(folder / "worker.key"),
        "https://login.example.com/token": broker.tokens.endpoint(),
    }
    for there, place in here.items():
        text = text.replace(there, place)
    return text


def answers(settings: str, folder: Path, **environment: str) -> bool:
    """Tell whether `check` says that the brokers answer."""
    config = folder / "worker.yaml"
    config.write_text(settings)
    ran = CliRunner(env=environment).invoke(app, ["check", "--config", str(config), "--json"])
    return any(fact.startswith("kafka.bootstrap_servers: ") for fact in json.loads(ran.stdout)["facts"])


def test_there_is_an_example_for_each_listener() -> None:
    assert len(EXAMPLES) == len(LISTENERS)


@pytest.mark.parametrize(("text", "listener"), list(zip(EXAMPLES, LISTENERS, strict=True)), ids=LISTENERS)
def test_an_example_connects(broker: Secured, tmp_path: Path, text: str, listener: str) -> None:
    settings = mounted(text, broker, listener, tmp_path)

    assert answers(settings, tmp_path, KAFKA_CLIENT_SECRET=SECRET)


@pytest.mark.parametrize(("text", "listener"), list(zip(EXAMPLES, LISTENERS, strict=True)), ids=LISTENERS)
def test_every_secret_of_an_example_is_needed(broker: Secured, tmp_path: Path, text: str, listener: str) -> None:
    settings: Any = yaml.safe_load(mounted(text, broker, listener, tmp_path))
    options = settings["kafka"]["options"]
    (secret,) = (name for name, value in options.items() if isinstance(value, dict))
    options[secret] = "wrong"

    assert not answers(yaml.safe_dump(settings), tmp_path)


def test_the_rights_of_the_page_are_what_the_command_prints() -> None:
    ran = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None}).invoke(
        app, ["topics", "acls", "--user", "worker", "--bootstrap-servers", "broker:9092"]
    )

    assert ran.output in [block.text for block in PAGE.blocks]
