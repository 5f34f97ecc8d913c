"""Check the dashboard and its provisioning against the telemetry and Prometheus' configuration."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import DASHBOARD, DEPLOY, panel_queries, panels, read_yaml, services
from tests.support.promql import parse_query
from tests.support.series import check_labels, check_series

PROVISIONING = DEPLOY / "grafana" / "provisioning"
VARIABLES = {each["name"]: each for each in json.loads(DASHBOARD.read_text())["templating"]["list"]}
(DATASOURCE,) = read_yaml(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]


@pytest.mark.parametrize(("title", "query", "legend"), list(panel_queries()))
def test_panels_query_existing_series(title: str, query: str, legend: str) -> None:
    assert title
    asked = parse_query(query)
    check_series(asked)
    check_labels(asked, asked.labels | set(re.findall(r"{{(\w+)}}", legend)))


def test_the_variable_lists_the_cameras() -> None:
    variable = VARIABLES["camera"]
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert found
    asked = parse_query(found[1])
    check_series(asked)
    check_labels(asked, {found[2]})


def test_all_queries_use_the_chosen_datasource_which_is_the_provisioned_one_at_first() -> None:
    asked = [each["datasource"] for each in find_all(json.loads(DASHBOARD.read_text()), "datasource")]
    assert len(asked) > len(panels()) / 2
    assert {(each["type"], each["uid"]) for each in asked} == {("prometheus", "${datasource}")}
    variable = VARIABLES["datasource"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert variable["current"]["value"] == DATASOURCE["uid"]


def test_every_number_has_thresholds_of_its_own() -> None:
    """Without any, Grafana shows each number above 80 in red."""
    for panel in (each for each in panels() if each["type"] != "row"):
        first, *others = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert first["value"] is None, panel["title"]
        values = [each["value"] for each in others]
        assert values == sorted(values), panel["title"]
        if panel["type"] == "timeseries" and values:
            assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] != "off", panel["title"]


BAD_ABOVE = {
    "Frames waiting": 1000,
    "Frame age, p99": 30,
    "Alerts": 1,
    "Partitions not read": 1,
    "Brokers unreachable": 60,
}


@pytest.mark.parametrize(("title", "bad"), BAD_ABOVE.items())
def test_a_number_that_is_bad_looks_bad(title: str, bad: float) -> None:
    (panel,) = (each for each in panels() if each["title"] == title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert (steps[0]["color"], steps[-1]["value"]) == ("green", bad)
    assert steps[-1]["color"] in {"orange", "red"}


def test_no_worker_at_all_looks_bad() -> None:
    (panel,) = (each for each in panels() if each["title"] == "Workers up")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] == "red"
    assert panel["targets"][0]["expr"].endswith("or vector(0)")


def test_the_datasource_is_the_prometheus_of_compose() -> None:
    assert DATASOURCE["url"] == "http://prometheus:9090"
    assert "prometheus" in services()
    scraped = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert DATASOURCE["jsonData"]["timeInterval"] == scraped


def test_files_are_where_grafana_looks_for_them() -> None:
    grafana = services()["grafana"]
    folders = {inside: Path(ours) for ours, inside, *_ in (mount.split(":") for mount in grafana["volumes"])}
    assert DEPLOY.parent / folders["/etc/grafana/provisioning"] == PROVISIONING
    (provider,) = read_yaml(PROVISIONING / "dashboards" / "vision-worker.yml")["providers"]
    assert DEPLOY.parent / folders[provider["options"]["path"]] == DASHBOARD.parent
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert DEPLOY.parent / folders[str(home.parent)] / home.name == DASHBOARD


def test_panels_have_unique_ids_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for one, other in combinations((panel["gridPos"] for panel in panels()), 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in panels()) == 24


def find_all(document: Any, key: str) -> list[dict[str, Any]]:
    """Return every object in a document that has the key."""
    if isinstance(document, list):
        return [found for each in document for found in find_all(each, key)]
    if isinstance(document, dict):
        return [document] * (key in document) + find_all(list(document.values()), key)
    return []
