"""Check the Kubernetes manifests against the settings, the command line, the pages and each other."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import DEPLOY, dockerfile, read_yaml, services, settings_of, understood
from worker import __version__
from worker.settings import Settings

FOLDER = DEPLOY / "kubernetes"
CONFIG, DEPLOYMENT, BUDGET, SERVICE, TOPICS, SECRET = (
    read_yaml(FOLDER / f"{name}.yaml")
    for name in ("configmap", "deployment", "poddisruptionbudget", "service", "topics", "secret/secret")
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
    read = [CONFIG, DEPLOYMENT, BUDGET, SERVICE, TOPICS, SECRET]
    assert len(list(FOLDER.rglob("*.yaml"))) == len(read)
    kinds = {(each["apiVersion"], each["kind"]) for each in read}
    assert kinds == {
        ("v1", "ConfigMap"),
        ("apps/v1", "Deployment"),
        ("policy/v1", "PodDisruptionBudget"),
        ("v1", "Service"),
        ("batch/v1", "Job"),
        ("v1", "Secret"),
    }


def test_selectors_find_the_pods() -> None:
    selectors = [DEPLOYMENT["spec"]["selector"]["matchLabels"], BUDGET["spec"]["selector"]["matchLabels"]]
    selectors.append(SERVICE["spec"]["selector"])
    (spread,) = POD["spec"]["topologySpreadConstraints"]
    for selector in [*selectors, spread["labelSelector"]["matchLabels"]]:
        assert selector.items() <= POD["metadata"]["labels"].items()


def mounts(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the volumes of a pod with one container, by the folder where they are seen."""
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounted = {mount["mountPath"]: volumes.pop(mount["name"]) for mount in container["volumeMounts"]}
    assert not volumes, "a volume that nobody sees"
    return mounted


def test_probes_can_reach_the_worker(settings: Settings) -> None:
    assert settings.ops.host == "0.0.0.0"  # noqa: S104 probes come from the node


@pytest.mark.parametrize("pod", [POD, TOPICS["spec"]["template"]], ids=["worker", "topics"])
def test_the_settings_reach_the_program(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    config = understood(container["args"], {})["config"]

    assert mounts(pod)[str(config.parent)]["configMap"]["name"] == CONFIG["metadata"]["name"]
    assert config.name in CONFIG["data"]
    assert container["image"] == CONTAINER["image"]
    for strict in ("securityContext", "enableServiceLinks", "automountServiceAccountToken"):
        assert pod["spec"][strict] == POD["spec"][strict]


def test_there_are_partitions_for_all_workers() -> None:
    (container,) = TOPICS["spec"]["template"]["spec"]["containers"]
    assert understood(container["args"], {})["partitions"] >= DEPLOYMENT["spec"]["replicas"]


def test_the_secret_holds_what_the_settings_read_once_their_comments_are_gone(tmp_path: Path) -> None:
    """The manifests are for brokers without passwords; a comment says what others need."""
    text = re.sub(r"^( +)# (?=options:|  )", r"\1", CONFIG["data"]["worker.yaml"], flags=re.MULTILINE)
    named = re.findall(r"/etc/vision-worker-secret/[\w.-]+", text)
    for pod in (POD, TOPICS["spec"]["template"]):
        secret = mounts(pod)["/etc/vision-worker-secret"]["secret"]
        assert (secret["secretName"], secret["optional"]) == (SECRET["metadata"]["name"], True)
    assert sorted(Path(each).name for each in named) == sorted(SECRET["stringData"])
    for key, value in SECRET["stringData"].items():
        (tmp_path / key).write_text(value)
    file = tmp_path / "worker.yaml"
    file.write_text(text.replace("/etc/vision-worker-secret", str(tmp_path)))
    options = settings_of({}, file).kafka.options

    assert options["sasl.password"] == SECRET["stringData"]["kafka-password"]
    assert options["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert options["security.protocol"] == "SASL_SSL"


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
