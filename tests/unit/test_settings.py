import copy
import json
from pathlib import Path

import pytest

from worker.domain.errors import SettingsError
from worker.settings import MASK, REFUSED, Settings, describe, effective, load_settings, read_groups

PUBLIC = {"sasl.username": "ann", "sasl.oauthbearer.token.endpoint.url": "https://login.example/token"}
LEAST = {"kafka": {"bootstrap_servers": "broker:9092"}, "model": {"name": "mobilenet_v2"}}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("VISION_WORKER_MODEL__ENGINE")


@pytest.fixture
def write(tmp_path: Path) -> "Write":
    return Write(tmp_path / "worker.yaml")


class Write:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, content: object) -> Path:
        self.path.write_text(content if isinstance(content, str) else json.dumps(content))
        return self.path


def faults_of(file: Path | None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    return caught.value.faults


def test_the_least_file_gives_every_setting(write: Write) -> None:
    settings = load_settings(write(LEAST))

    assert settings.kafka.bootstrap_servers == "broker:9092"
    assert settings.topics.dead_letters == "dead-letters"
    assert settings.limits.memory == 256 * 2**20
    assert settings.ops.host == "127.0.0.1"


def test_the_environment_wins_over_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_WINDOW__SIZE_MS", "250")
    monkeypatch.setenv("VISION_WORKER_LIMITS__MEMORY", "1GiB")
    monkeypatch.setenv("VISION_WORKER_KAFKA__CONSUMER", '{"fetch.min.bytes": 7}')
    settings = load_settings(write({**LEAST, "window": {"size_ms": 9, "linger_ms": 7}}))

    assert (settings.window.size_ms, settings.window.linger_ms) == (250, 7)
    assert settings.limits.memory == 2**30
    assert settings.kafka.consumer == {"fetch.min.bytes": 7}


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("VISION_WORKER_MODEL__NAME", "resnet18")

    assert load_settings(None).kafka.bootstrap_servers == "a:1"
    monkeypatch.setenv("VISION_WORKER_KAFKA__BOOTSTRAP_SERVERS", "b:2")
    assert load_settings(None).kafka.bootstrap_servers == "b:2"


def test_every_fault_is_told_at_once_with_what_to_do(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_WINDOWS__SIZE_MS", "5")
    faults = faults_of(
        write(
            {
                "kafka": {"consumer": {"enable.auto.commit": True}, "brokers": "x"},
                "model": {"name": "a", "path": "b", "device": "gpu"},
                "window": {"size_ms": 0},
                "topics": {"frames": "no spaces"},
                "extras": {},
            }
        )
    )
    text = "\n".join(faults)

    for expected in (
        "environment variable VISION_WORKER_WINDOWS__SIZE_MS: there is no such setting",
        "extras: there is no such group",
        "kafka.bootstrap_servers: it is not set; name your brokers with --bootstrap-servers, in the file of --config",
        "kafka.consumer: enable.auto.commit is refused: the worker commits an offset itself",
        "kafka.brokers: there is no such setting; vision-worker settings lists all",
        "model.device: ",
        "window.size_ms: Input should be greater than or equal to 1 (it is 0)",
        "topics.frames: ",
    ):
        assert expected in text
    assert len(faults) == 8


def test_a_latency_target_is_unset_unless_it_is_set_and_can_be_met_by_something(write: Write) -> None:
    assert load_settings(write(LEAST)).window.latency_target_ms is None
    assert load_settings(write({**LEAST, "window": {"latency_target_ms": 200}})).window.latency_target_ms == 200
    assert faults_of(write({**LEAST, "window": {"latency_target_ms": 0}})) == (
        "window.latency_target_ms: Input should be greater than or equal to 10 (it is 0)",
    )


@pytest.mark.parametrize("model", [{}, {"name": "a", "path": "b"}])
def test_a_worker_has_one_model(write: Write, model: dict[str, str]) -> None:
    assert faults_of(write({**LEAST, "model": model})) == (
        "model: set either path (a model manifest) or name (a torchvision model), or give --model",
    )


@pytest.mark.parametrize("option", REFUSED)
@pytest.mark.parametrize("client", ["options", "consumer", "producer"])
def test_options_that_would_break_delivery_are_refused_with_the_reason(write: Write, option: str, client: str) -> None:
    (fault,) = faults_of(write({**LEAST, "kafka": {"bootstrap_servers": "b:1", client: {option: "x"}}}))

    assert fault == f"kafka.{client}: {option} is refused: {REFUSED[option]}"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("kafka: [", "line 1, column 9: expected the node content, but found '<stream end>'; correct this line"),
        (
            "kafka:\n\tbootstrap_servers: x",
            "line 2, column 1: found character '\\t' that cannot start any token; indent",
        ),
        ("kafka: {}\nmodel: {}\nkafka: {}", "line 3, column 1: 'kafka' is there twice; correct this line"),
        ("kafka: \x00", "it is not YAML: unacceptable character #x0000"),
        ("- a\n- b\n", "groups of settings"),
        ("text", "groups of settings"),
        (None, "No such file or directory; name a YAML file"),
    ],
)
def test_a_file_that_cannot_be_read_says_so_and_nothing_else(
    write: Write, tmp_path: Path, content: str | None, text: str
) -> None:
    (fault,) = faults_of(tmp_path / "missing.yaml" if content is None else write(content))

    assert fault.startswith("--config ")
    assert text in fault
    assert len(fault.splitlines()) == 1


@pytest.mark.parametrize("name", [".", "picture.jpg"])
def test_a_folder_or_a_picture_is_no_file_of_settings(tmp_path: Path, name: str) -> None:
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (fault,) = faults_of(tmp_path / name)

    assert fault.startswith(f"--config {tmp_path / name}: ")
    assert "name a YAML file" in fault


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kafak": {}}, "kafak: there is no such group of settings; did you mean kafka?"),
        ({"frames": "x"}, "frames: there is no such group of settings; did you mean topics.frames (VISION_WORKER_TOP"),
        (
            {"model": {"nmae": "x"}},
            "model.nmae: there is no such setting; did you mean model.name (VISION_WORKER_MODEL",
        ),
        ({"kafka": {"bootstrap-servers": "x"}}, "did you mean kafka.bootstrap_servers (VISION_WORKER_KAFKA__BOOTSTRAP"),
        ({"kafka": {"bootstrapServers": "x"}}, "did you mean kafka.bootstrap_servers (VISION_WORKER_KAFKA__BOOTSTRAP"),
        ({"model": {"latency_target_ms": 100}}, "did you mean window.latency_target_ms (VISION_WORKER_WINDOW__LATENCY"),
        ({"model": {"engine": "openvin"}}, "'onnxruntime' (it is 'openvin'); did you mean openvino?"),
        ({"model": {"engine": "cuda"}}, "model.engine: Input should be 'auto', 'eager', "),
        ({"kafka": "broker:9092"}, "kafka: it is a group (it is 'broker:9092'); write its settings below it, indented"),
    ],
)
def test_a_misspelt_name_gets_the_one_that_is_meant(write: Write, content: dict[str, object], said: str) -> None:
    assert any(said in fault for fault in faults_of(write(content)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VISION_WORKER_MODEL_NAME", "group and setting; did you mean VISION_WORKER_MODEL__NAME?"),
        (
            "VISION_WORKER_KAFKA_BOOTSTRAP_SERVERS",
            "two underscores stand between group and setting; did you mean VISION_WORKER_KAFKA__BOOTSTRAP_SERVERS?",
        ),
        ("VISION_WORKER_MODELS__NAME", "there is no such setting; did you mean VISION_WORKER_MODEL__NAME?"),
        ("VISON_WORKER_MODEL__NAME", "there is no such setting; did you mean VISION_WORKER_MODEL__NAME?"),
        ("VISION_WORKER_MODEL__NAM", "did you mean model.name (VISION_WORKER_MODEL__NAME)?"),
        ("VISION_WORKER_COLOUR", "there is no such setting; vision-worker settings lists all"),
    ],
)
def test_a_misspelt_variable_gets_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, write: Write, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "x")

    assert any(said in fault for fault in faults_of(write(LEAST)))


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ("http://broker:9092", "'http://broker:9092' is no address; write host:port, with a comma between two brokers"),
        ("broker:9092 other:9092", "'broker:9092 other:9092' is no address"),
        ("broker:9092;other:9092", "is no address"),
        ("broker:9092,", "'' is no address"),
        ("broker:port", "is no address"),
        ("broker:99999", "'broker:99999' has no port from 1 to 65535; correct it"),
        ("", "String should have at least 1 character"),
    ],
)
def test_what_is_no_address_is_not_waited_for(write: Write, servers: str, said: str) -> None:
    (fault,) = faults_of(write({**LEAST, "kafka": {"bootstrap_servers": servers}}))

    assert fault.startswith("kafka.bootstrap_servers: ")
    assert said in fault


@pytest.mark.parametrize(
    "servers", ["broker", "broker:9092, other-2.example:9093", "10.0.0.1:9092", "[::1]:9092", "SASL_SSL://broker:9092"]
)
def test_addresses_of_all_kinds_are_taken(write: Write, servers: str) -> None:
    assert load_settings(write({**LEAST, "kafka": {"bootstrap_servers": servers}})).kafka.bootstrap_servers == servers


def test_variables_of_other_programs_are_theirs(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    for name in ("MODEL__NAME", "WORKER_MODEL__NAME", "VISION", "KAFKA_OPTIONS", "REVISION_WORKER"):
        monkeypatch.setenv(name, "x")

    assert load_settings(write(LEAST)).model.name == "mobilenet_v2"


def test_a_yaml_fault_shows_no_secret(write: Write) -> None:
    (fault,) = faults_of(write("kafka:\n  options:\n    sasl.password: pw-1: pw-1\n"))

    assert "line 3" in fault
    assert "pw-1" not in fault


def test_a_variable_that_is_no_json_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_KAFKA__OPTIONS", "{security.protocol")

    assert faults_of(None) == (
        'environment variable VISION_WORKER_KAFKA__OPTIONS: it is not JSON; write it as in {"log_level": 3}',
    )


def test_a_fault_in_one_group_does_not_hide_another(write: Write) -> None:
    groups, faults = read_groups(write({**LEAST, "window": {"size_ms": 0}}))

    assert "window" not in groups
    assert groups["kafka"].bootstrap_servers == "broker:9092"
    assert len(faults) == 1


def test_secrets_are_masked_wherever_they_stand(write: Write) -> None:
    secrets = {
        "sasl.password": "p1",
        "ssl.key.password": "p2",
        "ssl.key.pem": "p3",
        "sasl.oauthbearer.client.secret": "p4",
        "ssl.keystore.password": "p5",
        "sasl.oauthbearer.assertion.private.key.passphrase": "p6",
    }
    kafka = {"bootstrap_servers": "b:1", "options": {**secrets, **PUBLIC}, "producer": secrets}
    shown = effective(load_settings(write({**LEAST, "kafka": kafka})))

    assert shown["kafka"]["options"] == {**dict.fromkeys(secrets, MASK), **PUBLIC}
    assert not {"p1", "p2", "p3", "p4", "p5", "p6"} & set(json.dumps(shown).replace('"', " ").split())


def test_a_fault_never_shows_a_secret(write: Write) -> None:
    kafka = {"bootstrap_servers": "b:1", "options": {"sasl.password": ["pw-1"], "acks": "1"}}

    assert "pw-1" not in "\n".join(faults_of(write({**LEAST, "kafka": kafka})))


def kafka_with(**options: object) -> dict[str, object]:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return {**LEAST, "kafka": {"bootstrap_servers": "b:1", "options": named}}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_is_read_from_a_file_or_a_variable_and_what_is_shown_is_where(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(f" pässword{end}".encode())
    monkeypatch.setenv("KAFKA_USER", f"ann-b{end}")
    settings = load_settings(write(kafka_with(sasl_password={"file": str(file)}, sasl_username={"env": "KAFKA_USER"})))

    assert settings.kafka.options == {"sasl.password": " pässword", "sasl.username": "ann-b"}
    assert effective(settings)["kafka"]["options"] == {
        "sasl.password": {"file": str(file)},
        "sasl.username": {"env": "KAFKA_USER"},
    }
    assert effective(copy.deepcopy(settings)) == effective(settings)
    assert not [text for text in (repr(settings), str(settings.kafka.options)) if "pässword" in text or "ann-b" in text]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"file": "/no/such/file"}, "file /no/such/file cannot be read: No such file or directory; correct the path"),
        ({"file": "/"}, "file / cannot be read: Is a directory; correct the path"),
        ({"file": "EMPTY"}, "is empty: write the value into it"),
        ({"file": "BINARY"}, "is not UTF-8: write the value as text"),
        ({"env": "NO_SUCH_VARIABLE"}, "environment variable NO_SUCH_VARIABLE is not set: set it, or correct its name"),
        ({"env": "BLANK"}, "environment variable BLANK is empty: write the value into it"),
        ({"env": "BLANK", "file": "/x"}, "write {file: PATH} or {env: NAME}"),
        ({"value": "pw-1"}, "write {file: PATH} or {env: NAME}"),
        ({"file": ["pw-1"]}, "write {file: PATH} or {env: NAME}"),
        ({}, "write {file: PATH} or {env: NAME}"),
        (None, "write a text, a number, true or false; for a secret, write {file: PATH} or {env: NAME}"),
        (["pw-1"], "write a text, a number, true or false; for a secret, write {file: PATH} or {env: NAME}"),
    ],
)
def test_a_secret_that_cannot_be_read_names_its_option_and_where_it_should_be(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object, says: str
) -> None:
    (tmp_path / "EMPTY").write_text("\n")
    (tmp_path / "BINARY").write_bytes(b"\xff")
    monkeypatch.setenv("BLANK", "")
    if isinstance(source, dict) and source.get("file") in ("EMPTY", "BINARY"):
        source = {"file": str(tmp_path / source["file"])}
    (fault,) = faults_of(write(kafka_with(sasl_password=source)))

    assert fault.startswith("kafka.options: sasl.password: ")
    assert says in fault
    assert "pw-1" not in fault


def test_a_source_in_the_environment_replaces_that_of_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "right")
    monkeypatch.setenv("VISION_WORKER_KAFKA__OPTIONS", '{"sasl.password": {"env": "PASSWORD"}}')
    settings = load_settings(write(kafka_with(sasl_password={"file": "/no/such/file"}, sasl_username="ann")))

    assert settings.kafka.options == {"sasl.password": "right", "sasl.username": "ann"}


def test_every_setting_has_a_meaning_and_its_variable_works(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(describe())
    assert {name.partition(".")[0] for name, *_ in rows} == set(Settings.model_fields)
    assert all(meaning for *_, meaning in rows)

    settings = load_settings(write(LEAST))
    for name, variable, *_ in rows:
        group, _, field = name.partition(".")
        value = getattr(getattr(settings, group), field)
        if isinstance(value, int | float | str):
            monkeypatch.setenv(variable, str(int(value) if isinstance(value, int) else value))
    assert effective(load_settings(None)) == effective(settings)
