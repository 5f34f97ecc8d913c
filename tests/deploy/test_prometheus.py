"""Check the rules and the scrape configuration against the real telemetry and the real Prometheus."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.deployment import DEPLOY, RULES, panel_queries, read_yaml, rules, services, settings_of
from tests.support.prometheus import prometheus_server, promtool, tell_everything
from tests.support.promql import parse_query
from tests.support.series import check_labels, check_series
from worker.adapters.http import OpsServer
from worker.ops.telemetry import Telemetry

CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
CASES = DEPLOY / "prometheus" / "rules_test.yml"
ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = [rule["record"] for rule in rules() if "record" in rule]


def samples() -> list[dict[str, Any]]:
    return [each for case in read_yaml(CASES)["tests"] for each in case["promql_expr_test"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("check", "config", str(CONFIG)), ("check", "rules", str(RULES)), ("test", "rules", str(CASES))]
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    ran = promtool(*arguments)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
def test_every_alert_fires_in_a_test(name: str) -> None:
    fired = [found["labels"] for each in samples() for found in each["exp_samples"]]
    assert any(f'alertname="{name}", alertstate="firing"' in labels for labels in fired)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_series_has_an_expected_value(name: str) -> None:
    assert any(name in each["expr"] and each["exp_samples"] for each in samples())


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_severity_and_a_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}


def test_the_page_for_operators_has_every_alert_once() -> None:
    page = (DEPLOY.parent / "docs" / "watching.md").read_text()
    assert re.findall(r"^\| `(VisionWorker\w+)` \|", page, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_query_existing_series(rule: dict[str, Any]) -> None:
    query = parse_query(rule["expr"])
    check_series(query)
    check_labels(query, query.labels)


def test_no_rule_and_no_panel_needs_a_name_of_the_scrape_job() -> None:
    """On Kubernetes, the usual job of annotated pods has another name, and scrapes other programs too."""
    queries = [*(rule["expr"] for rule in rules()), *(query for _, query, _ in panel_queries())]
    selectors = [selector for query in queries for selector in parse_query(query).selectors]

    assert len(selectors) > len(queries) / 2
    assert [each for each in selectors if any(matcher.label in {"job", "instance"} for matcher in each.matchers)] == []


def test_every_replica_is_scraped() -> None:
    (job,) = read_yaml(CONFIG)["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    (service,) = discovery["names"]
    assert discovery["port"] == settings_of(services()[service]["environment"]).ops.port


def test_its_files_are_where_compose_says() -> None:
    command, mounts = services()["prometheus"]["command"], services()["prometheus"]["volumes"]
    folders = {inside: ours for ours, inside, *_ in (mount.split(":") for mount in mounts)}
    (file,) = (Path(option.partition("=")[2]) for option in command if option.startswith("--config.file="))
    assert DEPLOY.parent / folders[str(file.parent)] / file.name == CONFIG


@pytest.mark.slow
def test_a_real_prometheus_scrapes_a_worker_and_every_query_returns_series(tmp_path: Path) -> None:
    """Uses our configuration with another address and shorter intervals."""
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, max_cameras=10)
    tell_everything(telemetry)
    queries = [*RECORDED, *(query for _, query, _ in panel_queries())]
    with OpsServer(host="127.0.0.1", port=0, registry=registry, unhealthy=lambda: None, unready=lambda: None) as ops:
        config = read_yaml(CONFIG)
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(CONFIG.parent / file) for file in config["rule_files"]]
        (job,) = config["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ops.port}"]}]
        with prometheus_server(config, tmp_path) as prometheus:
            prometheus.wait(
                until=lambda: (
                    [target["health"] for target in prometheus.targets()] == ["up"]
                    and {rule["health"] for rule in prometheus.rules()} == {"ok"}
                    and all(prometheus.query(query) for query in queries)
                ),
                meanwhile=lambda: tell_everything(telemetry),
            )
            assert [rule["lastError"] for rule in prometheus.rules() if rule.get("lastError")] == []
            assert len(prometheus.rules()) == len(rules())
