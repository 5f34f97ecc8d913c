"""Which series there are: the worker's own, those of Prometheus, and those that our rules record."""

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
"""What Prometheus puts on everything it scrapes."""


def check_series(query: Query) -> None:
    """Hold each selector of a query against the series: at least one must answer."""
    for selector in query.selectors:
        found = known_series().get(selector.metric)
        assert found, f"there is no metric {selector.metric}"
        assert any(
            all(matcher.accepts(labels) and matcher.label in labels for matcher in selector.matchers)
            for labels in found
        ), f"no series answers to {selector}"


def check_labels(query: Query, labels: Collection[str]) -> None:
    """Hold labels that a query groups by or shows against the metrics it asks for."""
    of_all = {name for selector in query.selectors for labels in known_series()[selector.metric] for name in labels}
    assert set(labels) <= of_all, f"no metric of the query has the labels {set(labels) - of_all}"


@cache
def known_series() -> dict[str, list[Labels]]:
    """Return the labels of every series by its metric's name."""
    registry = CollectorRegistry()
    tell_everything(Telemetry(registry, max_cameras=10))
    found: dict[str, list[Labels]] = {
        "up": [SCRAPED],
        "ALERTS": [{"alertname": rule["alert"], "alertstate": "firing"} for rule in rules() if "alert" in rule],
    }
    for metric in registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, []).append(SCRAPED | sample.labels)
    # A recorded series is named level:metric:operation, and the level is its labels. Their values are not known here.
    known = {name: value for labels in found.values() for each in labels for name, value in each.items()}
    for record in (rule["record"] for rule in rules() if "record" in rule):
        level = record.partition(":")[0].split("_")
        found[record] = [{name: known[name] for name in level} | ({"top": "1"} if "top" in level else {})]
    return found
