import os
from pathlib import Path
from typing import Any

import pytest

from worker.settings import BOOTSTRAP_VARIABLE, ENV_PREFIX, Settings, load_settings
from worker.settings.changed import Changed, changed


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [each for each in os.environ if each.startswith((ENV_PREFIX, BOOTSTRAP_VARIABLE))]:
        monkeypatch.delenv(name)
    file = tmp_path / "worker.yaml"
    file.write_text(
        """
kafka: {bootstrap_servers: "kafka:9092", options: {sasl.password: open sesame}}
model: {name: mobilenet_v2, engine: eager}
topics:
"""
    )
    return file


def shown(file: Path | None, settings: Settings | None = None, **given: Any) -> list[Changed]:
    chosen = load_settings(file)
    return list(changed(settings or chosen, chosen, file, **given))


def test_only_what_differs_from_the_defaults_is_shown_with_its_file_and_without_secrets(file: Path) -> None:
    assert shown(file) == [
        ("kafka.bootstrap_servers", "kafka:9092", str(file)),
        ("kafka.options", {"sasl.password": "******"}, str(file)),
        ("model.name", "mobilenet_v2", str(file)),
        ("model.engine", "eager", str(file)),
    ]


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "other:9092", "kafka.bootstrap_servers"),
        ("VISION_WORKER_KAFKA__BOOTSTRAP_SERVERS", "other:9092", "kafka.bootstrap_servers"),
        ("VISION_WORKER_KAFKA__OPTIONS", '{"sasl.password": "open"}', "kafka.options"),
        ("vision_worker_ops__status_s", "5", "ops.status_s"),
        ("VISION_WORKER_OPS", '{"status_s": 5}', "ops.status_s"),
    ],
)
def test_what_the_environment_sets_names_its_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    origins = {each.name: each.origin for each in shown(file)}

    assert origins[name] == variable


def test_what_a_profile_or_the_command_line_sets_says_so(file: Path) -> None:
    chosen = load_settings(file)
    model = chosen.model.model_copy(update={"engine": "openvino"})
    origins = {
        each.name: each.origin
        for each in shown(
            file,
            chosen.model_copy(update={"model": model}),
            given={"kafka.bootstrap_servers"},
            origins={"model.engine": "profile"},
        )
    }

    assert origins["model.engine"] == "profile"
    assert origins["kafka.bootstrap_servers"] == "command line"
    assert origins["kafka.options"] == str(file)
