"""Which brokers, options and topics a command uses, when several places name some."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.cli.kafka_settings import complete_settings, kafka_and_topics, read_settings
from worker.domain.errors import SettingsError
from worker.local.background import Running, announced

LOCAL = Running(pid=os.getpid(), bootstrap_servers="127.0.0.1:9", nodes=1, folder=None, logs="/logs")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


@pytest.fixture
def local() -> Iterator[str]:
    with announced(LOCAL):
        yield LOCAL.bootstrap_servers


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "worker.yaml"
    kafka = {"bootstrap_servers": "file:1", "options": {"client.id": "file", "log_level": 3}}
    alone = {"consumer": {"client.id": "reader"}, "producer": {"client.id": "writer"}}
    file.write_text(json.dumps({"kafka": kafka | alone, "topics": {"predictions": "seen"}}))
    return file


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_local_kafka(
    config: Path, local: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kafka_and_topics(config)[0].bootstrap_servers == "file:1"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:1")
    assert kafka_and_topics(config)[0].bootstrap_servers == "environment:1"
    assert kafka_and_topics(config, "given:1")[0].bootstrap_servers == "given:1"
    assert capsys.readouterr() == ("", "")
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    assert kafka_and_topics(None)[0].bootstrap_servers == local


def test_a_command_says_that_it_uses_the_local_kafka(local: str, capsys: pytest.CaptureFixture[str]) -> None:
    read_settings(None)

    assert capsys.readouterr() == (
        "",
        f"kafka.bootstrap_servers is not set: using the Kafka of `vision-worker kafka up` at {local}\n",
    )


def test_without_any_brokers_the_error_names_all_ways() -> None:
    with pytest.raises(SettingsError) as caught:
        kafka_and_topics(None)

    (fault,) = caught.value.faults
    assert fault.startswith("kafka.bootstrap_servers: it is not set; ")
    ways = ("--bootstrap-servers", "--config", "KAFKA_BOOTSTRAP_SERVERS", "vision-worker kafka up")
    assert all(way in fault for way in ways)


def test_brokers_that_are_set_wrongly_are_not_replaced(tmp_path: Path, local: str) -> None:
    file = tmp_path / "worker.yaml"
    for content in ({"kafka": {"bootstrap_servers": ""}}, {"kafka": [local]}, {"kafka": "file:1"}):
        file.write_text(json.dumps(content))
        with pytest.raises(SettingsError):
            kafka_and_topics(file)
    with pytest.raises(SettingsError):
        kafka_and_topics(None, "")


def test_options_of_the_command_line_are_added_and_hold_for_every_client(config: Path) -> None:
    for kafka in (
        kafka_and_topics(config, None, ["client.id=given"])[0],
        read_settings(config, None, ["client.id=given"])[0]["kafka"],
    ):
        assert kafka.options == {"client.id": "given", "log_level": 3}
        assert (kafka.consumer, kafka.producer) == ({}, {})


def test_a_worker_refuses_on_the_command_line_what_its_settings_refuse(config: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.options: enable\.auto\.commit is refused"):
        complete_settings(config, None, ["enable.auto.commit=true"])


@pytest.mark.parametrize("model", [{"name": "vgg11", "weights": "IMAGENET1K_V1"}, {"path": "/models/mine"}, {}])
@pytest.mark.parametrize("variable", [None, "resnet18"])
def test_a_model_of_the_command_line_replaces_the_model_and_no_other_setting(
    config: Path, tmp_path: Path, model: dict[str, str], variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("VISION_WORKER_MODEL__NAME", variable)
    config.write_text(json.dumps({**json.loads(config.read_text()), "model": {**model, "streams": 2}}))
    by_name = complete_settings(config, model="mobilenet_v2").model
    by_path = complete_settings(config, model=str(tmp_path)).model

    assert (by_name.name, by_name.path, by_name.weights, by_name.streams) == ("mobilenet_v2", None, None, 2)
    assert (by_path.name, by_path.path, by_path.weights, by_path.streams) == (None, tmp_path, None, 2)


def test_topics_are_those_of_the_settings_and_faults_of_other_groups_do_not_matter(config: Path) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), "model": {"device": "gpu"}}))

    assert kafka_and_topics(config)[1].predictions == "seen"


@pytest.mark.parametrize(
    "content", [{"topics": {"prediction": "x"}}, {"topic": {"frames": "x"}}, {"kafka": {"opt": 1}}]
)
def test_a_misspelt_name_is_never_left_out(config: Path, content: dict[str, object]) -> None:
    config.write_text(json.dumps(content))
    with pytest.raises(SettingsError):
        kafka_and_topics(config, "given:1")


def test_a_secret_of_the_command_line_replaces_one_that_cannot_be_read(tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text("kafka: {bootstrap_servers: 'b:1', options: {sasl.password: {file: /no/such/file}}}")
    kafka, _ = kafka_and_topics(config, None, ["sasl.password=given", "acks=1"])

    assert kafka.options == {"sasl.password": "given", "acks": "1"}
