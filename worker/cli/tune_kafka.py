"""The Kafka on which `vision-worker tune` runs whole workers: given, running in the background, or started for it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console

from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.tuning.pairs import Run

if TYPE_CHECKING:
    from worker.local.turns import WorkersInTurn
    from worker.models.manifest import Manifest
    from worker.settings.offline import Groups

TURN: Final = 1 / 3
"""Length of a worker's turn, as a share of the time for which a candidate is measured at first."""
LEAST_TURN: Final = 1.0
"""Seconds. In less time, a worker publishes too few times to measure its rate."""


@dataclass(frozen=True, slots=True)
class WorkersOnKafka:
    """Runs candidates as whole workers on Kafka.

    Attributes:
        brokers: process ids of the brokers that run on this machine.
    """

    brokers: Sequence[int]
    _turns: "WorkersInTurn"

    def ready(self, groups: "Groups") -> None:
        """Start a worker with these settings, if none is at work that has enough to do."""
        self._turns.ready(_settings(groups))

    def run(self, groups: "Groups") -> Run:
        """Let it work for a moment."""
        return Run(*self._turns.turn(_settings(groups)))


@contextmanager
def workers_on_kafka(
    given: str | None, manifest: "Manifest", frames: Sequence[CapturedFrame], *, seconds: float, console: Console
) -> Iterator[WorkersOnKafka | None]:
    """Give what runs candidates as workers on Kafka; None, after a line that says why, if there is no Kafka.

    Args:
        given: bootstrap servers that the user names; None takes a local Kafka.
        manifest: of the model.
        frames: what the workers read, again and again.
        seconds: for how long a candidate is measured at first.
        console: gets the line.

    Raises:
        WorkerError: the servers that the user names do not answer, or refuse.
    """
    from worker.local.turns import WorkersInTurn
    from worker.tuning.measure import capture_rate, frames_a_result

    with ExitStack() as stack:
        servers = given
        if servers is None:
            try:
                servers = _local_kafka(stack, console)
            except WorkerError as error:
                reason = str(error).partition("\n")[0]
                console.print(
                    f"No Kafka is at hand, so all is measured without, which is less exact: {reason}", markup=False
                )
                yield None
                return
        turns = stack.enter_context(
            WorkersInTurn(
                servers,
                frames,
                rate=capture_rate(manifest),
                frames_a_result=frames_a_result(manifest.clip),
                recurrent=manifest.recurrence is not None,
                seconds=max(LEAST_TURN, seconds * TURN),
            )
        )
        yield WorkersOnKafka(_listening_at(servers), turns)


def _local_kafka(stack: ExitStack, console: Console) -> str:
    """Return the address of the Kafka in the background, or of one that is started until the stack unwinds."""
    from worker.local import background
    from worker.local.broker import LocalKafka

    if found := background.running():
        return found.bootstrap_servers
    with console.status("starting Apache Kafka, on which workers are measured"):
        return stack.enter_context(LocalKafka()).bootstrap_servers


def _listening_at(servers: str) -> Sequence[int]:
    """Return the processes on this machine that listen at the ports of these servers, as far as it may be known."""
    import psutil

    ports = {each.rpartition(":")[2] for each in servers.split(",")}
    with suppress(psutil.AccessDenied):
        connections = psutil.net_connections("tcp")
        listening = (each for each in connections if each.status == psutil.CONN_LISTEN and each.pid)
        return sorted({each.pid for each in listening if str(each.laddr.port) in ports})
    return []


def _settings(groups: "Groups") -> dict[str, dict[str, object]]:
    """Return a worker's settings, as far as the user or a candidate sets them."""
    named = {**groups.by_name(), "sampling": groups.sampling}
    settings = {name: group.model_dump(mode="json", exclude_unset=True) for name, group in named.items()}
    # All frames count, however old: they were captured long ago.
    return settings | {
        "model": settings["model"] | {"profile": "off"},
        "sampling": settings["sampling"] | {"on_lag": "process_all"},
    }
