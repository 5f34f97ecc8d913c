"""Check the Kubernetes manifests against the settings, the command line, the pages and each other."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import DEPLOY, dockerfile, read_yaml, services, settings_of, understood
from worker import __version__
from worker.settings import Settings

FOLDER = DEPLOY / "kubernetes"
CONFIG, DEPLOYMENT, BUDGET, SERVICE = (
    read_yaml(FOLDER / f"{name}.yaml") for name in ("configmap", "deployment", "poddisruptionbudget", "service")
)
POD = DEPLOYMENT["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
(PORT,) = CONTAINER["ports"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "worker.yaml"
    file.write_text(CONFIG["data"]["worker.yaml"])
    return settings_of({}, file)


def test_every_manifest_is_tested() -> None:
    read = [CONFIG, DEPLOYMENT, BUDGET, SERVICE]
    assert len(list(FOLDER.iterdir())) == len(read)
    kinds = {(each["apiVersion"], each["kind"]) for each in read}
    assert kinds == {
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("policy/v1", "PodDisruptionBudget"),
        ("v1", "Service"),
    }


def test_selectors_find_the_pods() -> None:
    selectors = [DEPLOYMENT["spec"]["selector"]["matchLabels"], BUDGET["spec"]["selector"]["matchLabels"]]
    selectors.append(SERVICE["spec"]["selector"])
    (spread,) = POD["spec"]["topologySpreadConstraints"]
    for selector in [*selectors, spread["labelSelector"]["matchLabels"]]:
        assert selector.items() <= POD["metadata"]["labels"].items()


def test_the_settings_are_valid_and_reach_the_worker(settings: Settings) -> None:
    assert settings.ops.host == "0.0.0.0"  # noqa: S104 probes come from the node
    config = understood(CONTAINER["args"], {})["config"]
    mounted = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    assert set(mounted.values()) == volumes.keys()
    assert volumes[mounted[str(config.parent)]]["configMap"]["name"] == CONFIG["metadata"]["name"]
    assert config.name in CONFIG["data"]


def test_all_ports_agree(settings: Settings) -> None:
    (service,) = SERVICE["spec"]["ports"]
    annotated = POD["metadata"]["annotations"]["prometheus.io/port"]
    assert {settings.ops.port, PORT["containerPort"], service["port"], int(annotated)} == {settings.ops.port}
    assert service["targetPort"] == PORT["name"]


def test_one_name_resolves_to_every_pod() -> None:
    assert SERVICE["spec"]["clusterIP"] == "None"
    prometheus = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert f"{SERVICE['metadata']['name']}.<namespace>.svc" in prometheus


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
)
def test_probes_use_the_pages(probe: str, path: str) -> None:
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": PORT["name"]}


def test_no_service_variable_can_look_like_a_setting() -> None:
    assert POD["spec"]["enableServiceLinks"] is False


def test_it_matches_the_image_of_the_dockerfile() -> None:
    said = dict(dockerfile())
    context: dict[str, Any] = POD["spec"]["securityContext"]
    assert said["USER"] == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert said["WORKDIR"] in {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert CONTAINER["image"] == f"vision-worker:{__version__}"


def test_the_grace_period_is_the_same_everywhere() -> None:
    assert services()["worker"]["stop_grace_period"] == f"{POD['spec']['terminationGracePeriodSeconds']}s"
