"""All known series: the worker's metrics, Prometheus' own, and those recorded by the rules."""

from collections.abc import Collection
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry

from tests.support.deployment import rules
from tests.support.prometheus import tell_everything
from tests.support.promql import Query
from worker.ops.telemetry import Telemetry

Labels = dict[str, str]

SCRAPED: Final[Labels] = {"job": "vision-worker", "instance": "127.0.0.1:9400"}
"""Labels that Prometheus adds to all scraped series."""


def check_series(query: Query) -> None:
    """Check that each selector of a query matches at least one known series."""
    for selector in query.selectors:
        found = known_series().get(selector.metric)
        assert found, f"there is no metric {selector.metric}"
        assert any(
            all(matcher.accepts(labels) and matcher.label in labels for matcher in selector.matchers)
            for labels in found
        ), f"no series matches {selector}"


def check_labels(query: Query, labels: Collection[str]) -> None:
    """Check that the metrics of a query have the labels that it groups by or shows."""
    of_all = {name for selector in query.selectors for labels in known_series()[selector.metric] for name in labels}
    assert set(labels) <= of_all, f"no metric of the query has the labels {set(labels) - of_all}"


@cache
def known_series() -> dict[str, list[Labels]]:
    """Return the labels of every series, by the metric's name."""
    registry = CollectorRegistry()
    tell_everything(Telemetry(registry, max_cameras=10))
    found: dict[str, list[Labels]] = {
        "up": [SCRAPED],
        "ALERTS": [{"alertname": rule["alert"], "alertstate": "firing"} for rule in rules() if "alert" in rule],
    }
    for metric in registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, []).append(SCRAPED | sample.labels)
    # A recorded series is named level:metric:operation, and its labels are the level. Their values are not known here.
    known = {name: value for labels in found.values() for each in labels for name, value in each.items()}
    for record in (rule["record"] for rule in rules() if "record" in rule):
        level = record.partition(":")[0].split("_")
        found[record] = [{name: known[name] for name in level} | ({"top": "1"} if "top" in level else {})]
    return found
