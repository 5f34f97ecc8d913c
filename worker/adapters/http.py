"""Serve a running worker's pages: /metrics, /healthz, /readyz."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Fault = Callable[[], str | None]
"""Returns None if all is well, else a description of the fault."""


class OpsServer:
    """Serves the three pages from its own thread, between `__enter__` and `__exit__`.

    Args:
        port: port to listen on; 0 takes a free one, which the property `port` returns.
        unhealthy: returns the text with which /healthz answers 503; None means 200.
        unready: returns the text with which /readyz answers 503; None means 200.

    Raises:
        OSError: it cannot listen there, as when the port is taken.
        UnicodeError: the host cannot be a name.
    """

    def __init__(self, *, host: str, port: int, registry: CollectorRegistry, unhealthy: Fault, unready: Fault) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

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
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
                """Log nothing: Prometheus scrapes every few seconds."""

        class Server(ThreadingHTTPServer):
            address_family = AF_INET6 if ":" in host else AF_INET

        self._host = f"[{host}]" if ":" in host else host
        self._server = Server((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="ops")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The address of the pages, without their names."""
        return f"http://{self._host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
