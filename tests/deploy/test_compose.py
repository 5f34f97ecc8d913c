"""Check docker-compose.yml against the Compose specification, the settings, the command line and real programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.deployment import (
    DEPLOY,
    ROOT,
    VARIABLE,
    compose,
    dockerfile,
    read_yaml,
    services,
    settings_of,
    understood,
)
from worker.adapters.http import OpsServer
from worker.local.samples import PHOTOGRAPHS
from worker.settings import ENV_PREFIX, NOT_SETTINGS, describe

FILES = (ROOT / "docker-compose.yml", DEPLOY / "docker-compose.cuda.yml")
SETTINGS = {variable for _, variable, _, _ in describe()}
OURS = {name: service for name, service in services().items() if "build" in service}


def probes() -> list[list[str]]:
    """Return all health checks of a worker: that of docker-compose.yml and that of the image."""
    (options,) = (arguments for name, arguments in dockerfile() if name == "HEALTHCHECK")
    return [services()["worker"]["healthcheck"]["test"][1:], json.loads(options.partition("CMD ")[2])]


def test_the_files_follow_the_compose_specification() -> None:
    checked = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, FILES)]
    ran = subprocess.run(checked, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_has_a_default_and_is_not_a_setting(file: Path) -> None:
    for found in VARIABLE.finditer(file.read_text()):
        assert found[2], f"{found[1]} has no default"
        # If a user exported it in a shell, a worker started there would refuse it as an unknown setting.
        assert not found[1].startswith(ENV_PREFIX)


def test_ports_are_only_on_this_machine() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_path_exists() -> None:
    mounts = [mount.partition(":")[0] for service in services().values() for mount in service.get("volumes", ())]
    named, bound = ({m for m in mounts if not m.startswith(".")}, {m for m in mounts if m.startswith(".")})
    assert named == set(compose()["volumes"])
    builds = [service["build"] for service in OURS.values()]
    paths = {*bound, *(Path(build["context"], build["dockerfile"]) for build in builds)}
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_service_is_bounded_and_starts_again() -> None:
    for name, service in services().items():
        assert {"mem_limit", "restart", "logging"} <= service.keys(), name


def test_services_wait_for_health_only_of_services_with_a_health_check() -> None:
    for service in services().values():
        for awaited, how in service.get("depends_on", {}).items():
            checked = "test" in services()[awaited].get("healthcheck", {})
            assert checked == (how["condition"] == "service_healthy")


def test_every_worker_variable_is_a_setting() -> None:
    environments = [service.get("environment", {}) for service in services().values()]
    environments += [service["environment"] for service in read_yaml(FILES[1])["services"].values()]
    ours = {name for environment in environments for name in environment if name.startswith(ENV_PREFIX)}
    assert ours
    assert ours <= SETTINGS | NOT_SETTINGS


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_workers_settings_are_valid(device: str) -> None:
    environment = dict(services()["worker"]["environment"])
    if device == "cuda":
        environment |= read_yaml(FILES[1])["services"]["worker"]["environment"]
    settings = settings_of(environment)
    assert settings.model.device == device
    assert settings.model.name == "mobilenet_v2"
    assert settings.ops.host == "0.0.0.0"  # noqa: S104 inside a container, because Prometheus is another one


def test_clients_use_the_address_that_the_broker_advertises() -> None:
    advertised = services()["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    inside = {listener.partition("://")[2] for listener in advertised if listener.startswith("INSIDE")}
    asked = {
        service["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
        for service in services().values()
        if "KAFKA_BOOTSTRAP_SERVERS" in service.get("environment", {})
    }
    assert asked == inside


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if "command" in service])
def test_every_command_line_is_valid(name: str) -> None:
    understood(OURS[name]["command"], OURS[name]["environment"])


def test_the_producer_sends_every_rendered_camera() -> None:
    folder = OURS["cameras"]["entrypoint"][-1]
    options = understood(OURS["producer"]["command"], OURS["producer"]["environment"])
    assert options["sources"] == [f"{folder}/{photograph.name}" for photograph in PHOTOGRAPHS]
    assert options["loop"] == "forever"


def ops_server(fault: str | None) -> OpsServer:
    return OpsServer(
        host="127.0.0.1",
        port=0,
        registry=CollectorRegistry(),
        unhealthy=lambda: fault,
        unready=lambda: fault,
    )


@pytest.mark.parametrize("probe", probes(), ids=["compose", "image"])
def test_a_health_check_succeeds_only_if_the_worker_is_healthy(probe: list[str]) -> None:
    assert probe[0] == "python"
    port = settings_of(services()["worker"]["environment"]).ops.port
    for fault, healthy in ((None, True), ("the loop has stalled", False)):
        with ops_server(fault) as ops:
            asked = [part.replace(f":{port}/", f":{ops.port}/") for part in probe[1:]]
            assert asked != probe[1:]
            ran = subprocess.run([sys.executable, *asked], check=False, capture_output=True)
            assert (ran.returncode == 0) is healthy
