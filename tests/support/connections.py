"""Every way to fail to connect, against real listeners: `python -m tests.support.connections` prints what is said."""

import re
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

import typer

from tests.support.secured import HOST, NO_HOST, Secured, secured
from worker.adapters.kafka import BrokerUnreachable, KafkaAdmin
from worker.ops.logs import configure_logs

PATIENCE: Final = 12.0
"""Seconds: librdkafka takes ten of them to give up a connection on which nothing is answered."""
NOBODY: Final = f"{HOST}:1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cases take place: a broker, and ports at which something else listens."""

    broker: Secured
    web: str
    closing: str
    silent: str


@dataclass(frozen=True, slots=True)
class Case:
    """A way to fail to connect.

    Attributes:
        at: returns the address.
        options: returns librdkafka's options.
        says: a part of the text that tells the cause.
        advice: how the text ends.
        final: the worker does not wait.
        is_token: no broker is asked, because there is no token.
    """

    at: Callable[[Place], str]
    options: Callable[[Place], Mapping[str, str]]
    says: str
    advice: str
    final: bool = False
    is_token: bool = False

    def begins(self, place: Place) -> str:
        """Return how the text begins."""
        address = self.at(place)
        if self.is_token:
            return f"there is no token for the brokers at {address}: the token server at http://"
        return f"the brokers at {address} refuse the connection: " if self.final else f"no broker answered at {address}"


def _at(listener: str) -> Callable[[Place], str]:
    return lambda place: place.broker.at(listener)


def _plain(_: Place) -> Mapping[str, str]:
    return {}


def _with_endpoint(url: str) -> Callable[[Place], Mapping[str, str]]:
    return lambda place: place.broker.token() | {"sasl.oauthbearer.token.endpoint.url": url}


_TOKENS: Final = (
    "correct sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.token.endpoint.url"
)
_ENDPOINT: Final = "correct sasl.oauthbearer.token.endpoint.url, or check that the token server is up"
_PASSWORD: Final = "correct sasl.username and sasl.password"  # noqa: S105 an advice
_NO_TLS: Final = "set security.protocol to PLAINTEXT or SASL_PLAINTEXT, or use the port of a listener with TLS"
_AUTHORITY: Final = "set ssl.ca.location to the certificate of the authority that signed it"
_MAYBE_TLS: Final = (
    "set security.protocol to SSL or SASL_SSL if this listener has TLS; otherwise check that a Kafka listens there"
)
_MAYBE_SASL: Final = (
    "if this listener asks for a password, set security.protocol to SASL_PLAINTEXT or SASL_SSL; otherwise check that "
    "the broker is up"
)
_CLIENT: Final = "set ssl.certificate.location and ssl.key.location to a certificate and key that the broker trusts"
_ADVERTISED: Final = "broker 1 advertises this address: check that it is up, or correct its advertised.listeners"

CASES: Final = {
    "nobody listens": Case(
        lambda _: NOBODY, _plain, "Connection refused", "check that the broker is up, and correct the port if it is"
    ),
    "unknown host": Case(lambda _: f"{NO_HOST}:9092", _plain, "Name or service not known", "correct the host name"),
    "an HTTP server": Case(
        lambda place: place.web, _plain, "an HTTP server answers", "correct the port: Kafka listens on another one"
    ),
    "it never answers": Case(
        lambda place: place.silent,
        _plain,
        "something accepts connections there and does not answer",
        "otherwise check whether the broker is overloaded",
    ),
    "it closes every connection": Case(
        lambda place: place.closing, _plain, "the connection is closed before a first answer", _MAYBE_TLS
    ),
    "no TLS, and the listener has TLS": Case(
        _at("TLS"), _plain, "the connection is closed before a first answer", _MAYBE_TLS
    ),
    "password without TLS, and the listener has TLS": Case(
        _at("PASSWORD_TLS"),
        lambda place: place.broker.login(),
        "the connection is closed before a first answer",
        _MAYBE_TLS,
    ),
    "TLS, and the listener has none": Case(
        lambda place: place.broker.servers,
        lambda place: place.broker.tls(),
        "the listener at this port has no TLS",
        _NO_TLS,
    ),
    "TLS, and it is an HTTP server": Case(
        lambda place: place.web, lambda place: place.broker.tls(), "the listener at this port has no TLS", _NO_TLS
    ),
    "no password, and the listener asks for one": Case(
        _at("PASSWORD"), _plain, "the broker closes the connection", _MAYBE_SASL
    ),
    "TLS without password, and the listener asks for one": Case(
        _at("PASSWORD_TLS"), lambda place: place.broker.tls(), "the broker closes the connection", _MAYBE_SASL
    ),
    "password, and the listener takes none": Case(
        lambda place: place.broker.servers,
        lambda place: place.broker.login(),
        "this listener takes no passwords",
        "set security.protocol to PLAINTEXT or SSL, or use the port of a listener with SASL",
        final=True,
    ),
    "wrong password, PLAIN": Case(
        _at("PASSWORD"),
        lambda place: place.broker.login(password="wrong"),  # noqa: S106
        "Invalid username or password",
        _PASSWORD,
        final=True,
    ),
    "wrong password, SCRAM": Case(
        _at("PASSWORD"),
        lambda place: place.broker.login("SCRAM-SHA-256", password="wrong"),  # noqa: S106
        "invalid credentials with SASL mechanism SCRAM-SHA-256",
        _PASSWORD,
        final=True,
    ),
    "unknown user": Case(
        _at("PASSWORD"),
        lambda place: place.broker.login() | {"sasl.username": "nobody"},
        "Invalid username or password",
        _PASSWORD,
        final=True,
    ),
    "wrong secret of a client": Case(
        _at("TOKEN"),
        lambda place: place.broker.token(secret="wrong"),  # noqa: S106
        '/token answers 401 {"error": "invalid_client"}; ',
        _TOKENS,
        final=True,
        is_token=True,
    ),
    "no page of tokens": Case(
        _at("TOKEN"),
        lambda place: place.broker.token("nothing"),
        '/nothing answers 404 {"error": "no such page"}; ',
        _TOKENS,
        final=True,
        is_token=True,
    ),
    "no token server": Case(
        _at("TOKEN"),
        _with_endpoint(f"http://{NOBODY}/token"),
        "Could not connect to server; ",
        _ENDPOINT,
        is_token=True,
    ),
    "token server with an unknown host": Case(
        _at("TOKEN"),
        _with_endpoint(f"http://{NO_HOST}/token"),
        f"Could not resolve host: {NO_HOST}",
        _ENDPOINT,
        is_token=True,
    ),
    "token of another authority": Case(
        _at("TOKEN"),
        lambda place: place.broker.token("stranger"),
        "the broker refuses the token",
        "compare sasl.oauthbearer.token.endpoint.url and sasl.oauthbearer.scope with what this listener expects",
        final=True,
    ),
    "mechanism that is not enabled": Case(
        _at("PASSWORD"),
        lambda place: place.broker.login("SCRAM-SHA-512"),
        "supported mechanisms: PLAIN,SCRAM-SHA-256",
        "set sasl.mechanisms to one of these",
        final=True,
    ),
    "certificate of an unknown authority": Case(
        _at("TLS"), lambda place: place.broker.tls("stranger"), "unable to get local issuer certificate", _AUTHORITY
    ),
    "no authority is named": Case(
        _at("TLS"), lambda _: {"security.protocol": "SSL"}, "unable to get local issuer certificate", _AUTHORITY
    ),
    "expired certificate": Case(
        _at("EXPIRED"),
        lambda place: place.broker.tls(),
        "certificate has expired",
        "renew the certificate of the broker",
    ),
    "certificate of another host": Case(
        _at("OTHER_NAME"),
        lambda place: place.broker.tls(),
        f"certificate is not valid for '{HOST}'",
        f"use a host name or an address that is in the certificate, or issue one for '{HOST}'",
    ),
    "no certificate of the client": Case(
        _at("MUTUAL"),
        lambda place: place.broker.tls(),
        "the broker refuses the certificate of this client, or gets none",
        _CLIENT,
    ),
    "certificate of the client that is not trusted": Case(
        _at("MUTUAL"),
        lambda place: place.broker.tls(ssl_certificate_location="client-stranger", ssl_key_location="client-stranger"),
        "the broker refuses the certificate of this client, or gets none",
        _CLIENT,
    ),
    "advertised address with nobody there": Case(_at("AWAY"), _plain, "Connection refused", _ADVERTISED),
    "advertised address with an unknown host": Case(_at("AWAY_NAME"), _plain, "Name or service not known", _ADVERTISED),
}


def said(case: Case, place: Place) -> str:
    """Return what an attempt to connect says in the end."""
    patience = PATIENCE if "overloaded" in case.advice else 2.0
    try:
        KafkaAdmin(case.at(place), case.options(place), timeout=patience).topics(["frames"])
    except BrokerUnreachable as error:
        return str(error)
    return "connected"


@contextmanager
def place_of_failures(folder: Path) -> Iterator[Place]:
    """Start the broker and everything else that listens; all of it ends with the block.

    Args:
        folder: gets the files with certificates and keys.
    """
    with ExitStack() as undo:
        broker = undo.enter_context(secured(folder))
        web = undo.enter_context(_server(lambda taken: taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
        closing = undo.enter_context(_server(lambda _: None))
        silent = undo.enter_context(socket.create_server((HOST, 0)))
        yield Place(broker, web, closing, _address(silent))


@contextmanager
def _server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answer to the first bytes of every connection, and close it."""

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken:
                try:
                    taken.recv(4096)
                    answer(taken)
                except OSError:
                    pass

    with socket.create_server((HOST, 0)) as listener:
        Thread(target=serve, daemon=True).start()
        yield _address(listener)
        listener.shutdown(socket.SHUT_RDWR)


def _address(listener: socket.socket) -> str:
    return f"{HOST}:{listener.getsockname()[1]}"


def main() -> None:
    """Print the table of `docs/security.md`."""
    configure_logs(level="error", json=False)
    with tempfile.TemporaryDirectory() as folder, place_of_failures(Path(folder)) as place:
        with ThreadPoolExecutor(4) as pool:
            texts = list(pool.map(lambda case: said(case, place), CASES.values()))
        # Ports differ from run to run.
        texts = [re.sub(rf"{HOST}:\d+", "HOST:PORT", text) for text in texts]
        rows = [f"| {name} | {text} |" for name, text in zip(CASES, texts, strict=True)]
        typer.echo("\n".join(["| what is wrong | what is said |", "| --- | --- |", *rows]))


if __name__ == "__main__":
    main()
