"""What people and Prometheus ask a running worker: /metrics, /healthz, /readyz."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Fault = Callable[[], str | None]
"""Returns None while all is well, else what is wrong."""


class OpsServer:
    """Serves the three pages from a thread of its own, between `__enter__` and `__exit__`.

    Args:
        port: 0 takes a free one; `port` tells which.
        unhealthy: what /healthz answers 503 with.
        unready: what /readyz answers 503 with.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, *, host: str, port: int, registry: CollectorRegistry, unhealthy: Fault, unready: Fault) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/metrics":
                        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                        self._answer(HTTPStatus.OK, content_type, encode(registry))
                    case "/healthz":
                        self._tell(unhealthy())
                    case "/readyz":
                        self._tell(unready())
                    case _:
                        self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz or /readyz\n")

            def _tell(self, fault: str | None) -> None:
                status = HTTPStatus.OK if fault is None else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, "text/plain; charset=utf-8", f"{fault or 'ok'}\n".encode())

            def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class named it
                """Say nothing: a scrape every few seconds is no news."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="ops")

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
