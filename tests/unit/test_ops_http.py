import urllib.error
import urllib.request
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from worker.adapters.http import OpsServer


class Worker:
    """What the pages ask."""

    def __init__(self) -> None:
        self.unhealthy: str | None = None
        self.unready: str | None = "still loading"

    def serve(self, registry: CollectorRegistry, port: int = 0) -> OpsServer:
        return OpsServer(
            host="127.0.0.1",
            port=port,
            registry=registry,
            unhealthy=lambda: self.unhealthy,
            unready=lambda: self.unready,
        )


def get(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_pages_say_how_the_worker_is() -> None:
    registry, worker = CollectorRegistry(), Worker()
    counter = Counter("frames", "Frames.", registry=registry)
    counter.inc(3)
    with worker.serve(registry) as server:
        status, content_type, page = get(server.port, "/metrics")
        families = {family.name: family for family in text_string_to_metric_families(page)}
        assert (status, content_type.split(";")[0]) == (200, "text/plain")
        assert families["frames"].samples[0].value == 3

        assert get(server.port, "/healthz")[::2] == (200, "ok\n")
        assert get(server.port, "/readyz?verbose")[::2] == (503, "still loading\n")
        worker.unready, worker.unhealthy = None, "the loop is stuck"
        assert get(server.port, "/healthz")[::2] == (503, "the loop is stuck\n")
        assert get(server.port, "/readyz")[0] == 200
        assert get(server.port, "/")[0] == 404


def test_a_taken_port_is_refused_and_a_freed_one_is_free() -> None:
    with Worker().serve(CollectorRegistry()) as server, pytest.raises(OSError, match="in use"):
        Worker().serve(CollectorRegistry(), server.port)
    with Worker().serve(CollectorRegistry(), server.port) as again:
        assert get(again.port, "/healthz")[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/healthz", 200), ("/readyz", 503), ("/", 404)])
def test_head_is_answered_like_get_without_a_body(path: str, status: int) -> None:
    """Load balancers and `curl -I` ask so."""
    registry = CollectorRegistry()
    Counter("frames", "Frames.", registry=registry).inc()
    with Worker().serve(registry) as server:
        answers = []
        for method in ("GET", "HEAD"):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
            connection.request(method, path)
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers["Content-Type"], answer.headers["Content-Length"]))
            body = answer.read()
            connection.close()

    assert answers[0] == answers[1]
    assert (answers[1][0], body) == (status, b"")
