"""The threads that run next to the loop of a worker: one watches it, one asks its brokers, one says what it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from worker.adapters.clocks import monotonic_clock
from worker.app.cluster import broker_probe
from worker.app.health import Health
from worker.models.loaded import LoadedModel
from worker.ops.repeating import Repeating
from worker.ops.status import Names, Status
from worker.ops.telemetry import Telemetry
from worker.ops.watchdog import CHECK_INTERVAL
from worker.settings import Ops, Settings
from worker.stream.worker import Worker

_ASK_BROKERS_EVERY: Final = 5.0
"""Seconds between two questions; fewer if an outage is to be told sooner."""


def status_of(settings: Settings, telemetry: Telemetry, health: Health, *, same_kafka: str) -> Status:
    """Return what writes the status line of a worker that starts now."""
    names = Names(settings.topics.predictions, same_kafka)
    return Status(telemetry.counts, health.trouble, names, now=monotonic_clock())


@contextmanager
def watched(worker: Worker, settings: Settings, telemetry: Telemetry, health: Health, status: Status) -> Iterator[None]:
    """Watch a worker, ask its brokers, and write its status line, until the block ends."""
    ops, probe = settings.ops, broker_probe(settings.kafka, settings.topics)
    health.worker = worker

    def ask_brokers() -> None:
        health.heard(probe.ask(worker.assigned))
        telemetry.brokers_answered(unreachable_for=health.unreachable_for())

    with (
        Repeating("watchdog", health.watchdog.check, every=CHECK_INTERVAL),
        Repeating("brokers", ask_brokers, every=min(_ASK_BROKERS_EVERY, ops.unreachable_after_s / 3)),
        Repeating("status", lambda: status.tell(monotonic_clock()), every=ops.status_s),
    ):
        yield


def tell_port(ops: Ops, port: int) -> None:
    """Say so if the pages are not where they are by default."""
    if ops.port not in (port, 0):
        structlog.get_logger("worker").info(
            "another program has the port of the pages, so the next free one is taken; ops.port sets one",
            taken=ops.port,
            instead=port,
        )


def tell_ready(settings: Settings, model: LoadedModel, url: str, *, same_kafka: str) -> None:
    """Say what the worker does from now on, where to look at it, and what to do next."""
    topics = settings.topics
    structlog.get_logger("worker").info(
        "ready",
        line=f"ready: {model.identity} reads topic {topics.frames!r} as group {settings.kafka.group_id!r}\n"
        f"  metrics: {url}/metrics\n"
        f"  next, in another terminal: vision-worker tail predictions {same_kafka}".rstrip(),
        model=str(model.identity),
        topic=topics.frames,
        group=settings.kafka.group_id,
        url=url,
    )
