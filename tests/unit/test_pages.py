import socket
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from worker.app.pages import judge_port, pages
from worker.domain.errors import SettingsError
from worker.settings import Ops


def served(ops: Ops) -> str:
    """Return the address at which the pages answer."""
    server = pages(ops, CollectorRegistry(), unhealthy=lambda: None, unready=lambda: None)
    with server, urllib.request.urlopen(f"{server.url}/healthz", timeout=5) as answer:  # noqa: S310 http, to this process
        assert answer.read() == b"ok\n"
        return server.url


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def test_a_port_that_was_set_and_is_taken_is_an_error_that_names_it(taken: int) -> None:
    with pytest.raises(SettingsError) as error:
        served(Ops(port=taken))

    assert str(error.value) == (
        f"ops.port: another program has port {taken} of 127.0.0.1; set ops.port to a free one, or to 0 for any"
    )


def test_the_next_port_is_taken_if_none_was_set() -> None:
    """Whatever has the ports from 9400 on at the moment, this test or other programs."""
    servers = [pages(Ops(), CollectorRegistry(), unhealthy=lambda: None, unready=lambda: None) for _ in range(3)]
    ports = [server.port for server in servers]
    for server in servers:
        with server:
            pass

    assert ports == sorted(set(ports))
    assert all(9400 <= port <= 9500 for port in ports)


def test_the_default_that_was_set_counts_as_set() -> None:
    assert list(Ops(port=9400).ports) == [9400]
    assert Ops().ports == range(9400, 9501)
    assert list(Ops(port=0).ports) == [0]


def test_an_address_that_is_not_of_this_machine_is_an_error_of_the_host() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid", "..", "x" * 300):
        with pytest.raises(SettingsError, match=r"^ops\.host: .*; set ops\.host to 127\.0\.0\.1"):
            served(Ops(host=host, port=0))


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_addresses_of_ipv6_are_taken() -> None:
    assert served(Ops(host="::1", port=0)).startswith("http://[::1]:")


def test_a_check_tells_where_the_pages_would_be(taken: int) -> None:
    (fact,) = judge_port(Ops(port=0)).facts
    assert fact.startswith("ops.port: a worker that starts now has its pages on port ")
    (warning,) = judge_port(Ops(port=taken)).warnings
    assert warning.startswith(f"ops.port: another program has port {taken} of 127.0.0.1; if that is not this worker")
    (fault,) = judge_port(Ops(host="192.0.2.1")).faults
    assert fault.startswith("ops.host: ")


def test_a_check_leaves_the_port_free(taken: int) -> None:  # noqa: ARG001 so that ports are in use
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    for _ in range(2):
        assert judge_port(Ops(port=port)).facts == [f"ops.port: a worker that starts now has its pages on port {port}"]
