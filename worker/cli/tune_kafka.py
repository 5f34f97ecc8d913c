"""The Kafka on which `vision-worker tune` runs whole workers: given, running in the background, or started for it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console

from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame

if TYPE_CHECKING:
    from worker.models.manifest import Manifest
    from worker.settings.offline import Groups
    from worker.tuning.trials import RunOnKafka

TURN: Final = 1 / 3
"""Length of a worker's turn, as a share of the time for which a candidate is measured at first."""
LEAST_TURN: Final = 1.0
"""Seconds. In less time, a worker publishes too few times to measure its rate."""


@contextmanager
def workers_on_kafka(
    given: str | None, manifest: "Manifest", frames: Sequence[CapturedFrame], *, seconds: float, console: Console
) -> "Iterator[RunOnKafka | None]":
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
    from worker.tuning.pairs import Run

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
        yield lambda groups: Run(*turns.turn(_settings(groups)))


def _local_kafka(stack: ExitStack, console: Console) -> str:
    """Return the address of the Kafka in the background, or of one that is started until the stack unwinds."""
    from worker.local import background
    from worker.local.broker import LocalKafka

    if found := background.running():
        return found.bootstrap_servers
    with console.status("starting Apache Kafka, on which workers are measured"):
        return stack.enter_context(LocalKafka()).bootstrap_servers


def _settings(groups: "Groups") -> dict[str, dict[str, object]]:
    """Return a worker's settings, as far as the user or a candidate sets them."""
    named = {**groups.by_name(), "sampling": groups.sampling}
    settings = {name: group.model_dump(mode="json", exclude_unset=True) for name, group in named.items()}
    # All frames count, however old: they were captured long ago.
    return settings | {
        "model": settings["model"] | {"profile": "off"},
        "sampling": settings["sampling"] | {"on_lag": "process_all"},
    }
