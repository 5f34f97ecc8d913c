"""Where the pages of a worker are: on the port that was set, or on the first one that is free."""

import errno

from prometheus_client import CollectorRegistry

from worker.adapters.http import Fault, OpsServer
from worker.app.requirements import Findings
from worker.domain.errors import SettingsError
from worker.settings import Ops


def pages(ops: Ops, registry: CollectorRegistry, *, unhealthy: Fault, unready: Fault) -> OpsServer:
    """Return a server that listens already, and answers once it is entered.

    Raises:
        SettingsError: the port that was set is taken, or nobody can listen at this address.
    """
    server = _first_free(ops, registry, unhealthy, unready)
    if server is None:
        raise SettingsError([f"{_taken(ops)}; {_SET_ANOTHER}"])
    return server


def judge_port(ops: Ops) -> Findings:
    """Find out where a worker that starts now would have its pages."""
    findings = Findings()
    try:
        server = _first_free(ops, CollectorRegistry(), lambda: None, lambda: None)
    except SettingsError as error:
        findings.faults.extend(error.faults)
        return findings
    if server is None:
        findings.warnings.append(f"{_taken(ops)}; if that is not this worker itself, {_SET_ANOTHER}")
        return findings
    with server:
        is_first = ops.port in (server.port, 0)
        instead = "" if is_first else f"; {ops.port} is taken"
        findings.facts.append(f"ops.port: a worker that starts now has its pages on port {server.port}{instead}")
    return findings


_SET_ANOTHER = "set ops.port to a free one, or to 0 for any"


def _first_free(ops: Ops, registry: CollectorRegistry, unhealthy: Fault, unready: Fault) -> OpsServer | None:
    for port in ops.ports:
        try:
            return OpsServer(host=ops.host, port=port, registry=registry, unhealthy=unhealthy, unready=unready)
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                raise SettingsError([_no_address(ops, port, error)]) from error
    return None


def _taken(ops: Ops) -> str:
    if len(ops.ports) > 1:
        return f"ops.port: other programs have all ports from {ops.ports[0]} to {ops.ports[-1]} of {ops.host}"
    return f"ops.port: another program has port {ops.port} of {ops.host}"


def _no_address(ops: Ops, port: int, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"ops.port: this user may not use port {port}; set ops.port to 1024 or more"
    reason = getattr(error, "strerror", error)
    return (
        f"ops.host: {ops.host!r} is no address of this machine ({reason}); set ops.host to 127.0.0.1 for programs on "
        "this machine only, or to 0.0.0.0 for all"
    )
