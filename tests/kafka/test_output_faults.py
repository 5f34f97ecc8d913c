"""Outputs cannot be written: the worker waits or stops as its README says, loses nothing, and says so in one line.

Both guarantees go through each fault at the same time, each in a lane of its own, so that they wait together.
"""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cameras import Cameras
from tests.support.lanes import ABSENT_BROKER, KAFKA, NO_ROOM, ROOM, Lane, admin_client, flow
from tests.support.workers import wait_until
from worker.local import node as nodes
from worker.local.broker import LocalKafka, _free_ports
from worker.local.guarded import GuardedProcess


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    with LocalKafka() as kafka:
        _introduce_absent_broker(kafka)
        yield kafka


@pytest.fixture(scope="module")
def both(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Lane]]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as undo:
        lanes = [Lane(guarantee, kafka.bootstrap_servers, folder, undo) for guarantee in KAFKA]
        for lane in lanes:
            Cameras(lane.stage).send(20)
        yield lanes


@pytest.fixture
def lanes(both: Sequence[Lane]) -> Sequence[Lane]:
    """Both lanes with a worker that has nothing left to do, whatever became of the one before."""
    for lane in both:
        lane.settle()
    return both


# ----- what only an operator can mend


@dataclass(frozen=True, slots=True)
class Fault:
    """A topic that refuses its records until somebody does something about it.

    Attributes:
        output: which topic, as `Stage` calls it.
        advice: what the worker says is to be done.
    """

    output: str
    advice: str
    inflict: Callable[[Lane], None]
    mend: Callable[[Lane], None]


FAULTS = {
    "its topic is gone": Fault(
        "predictions",
        "create the topic",
        lambda lane: lane.delete_predictions(),
        lambda lane: lane.create_predictions(),
    ),
    "a prediction is too large": Fault(
        "predictions",
        "raise max.message.bytes",
        lambda lane: lane.configure(lane.stage.predictions, "max.message.bytes", NO_ROOM),
        lambda lane: lane.configure(lane.stage.predictions, "max.message.bytes", ROOM),
    ),
    "a dead letter is too large": Fault(
        "dead_letters",
        "raise max.message.bytes",
        lambda lane: lane.send_damaged(),
        lambda lane: lane.configure(lane.stage.dead_letters, "max.message.bytes", ROOM),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_refused_output_stops_the_worker_which_says_what_to_do(lanes: Sequence[Lane], fault: Fault) -> None:
    with flow(lanes):
        for lane in lanes:
            fault.inflict(lane)
        for lane in lanes:
            try:
                status, said = lane.last_words()
            finally:
                fault.mend(lane)
            assert (status, said["event"], said["kind"]) == (1, "stopped", "DeliveryFailed")
            assert f"topic {getattr(lane.stage, fault.output)!r}" in said["error"]
            assert fault.advice in said["error"]
            lane.check_offsets()
            lane.start()
    for lane in lanes:
        assert lane.settle() == [], lane.guarantee
        lane.check()


# ----- what passes


def test_a_worker_waits_for_replicas_to_be_in_sync_and_says_so(lanes: Sequence[Lane]) -> None:
    committed = [lane.stage.committed() for lane in lanes]
    doubtful = [set(lane.doubtful) for lane in lanes]
    for lane in lanes:
        lane.configure(lane.stage.predictions, "min.insync.replicas", "2")
    with flow(lanes):
        for lane, before in zip(lanes, committed, strict=True):
            try:
                lane.wait_until_warned(lane.stage.predictions)
                assert lane.stage.committed() == before, lane.guarantee
            finally:
                lane.configure(lane.stage.predictions, "min.insync.replicas", "1")
    for lane, as_before in zip(lanes, doubtful, strict=True):
        assert lane.settle() == [], lane.guarantee
        lane.doubtful = as_before  # nobody stopped, so nothing is published again
        lane.check()


def _fill_disk(kafka: LocalKafka) -> None:
    """Let no file of Kafka's grow; return when Kafka has taken that for the end of its disk, and stopped."""
    (node,) = kafka._nodes
    assert node._process
    supervisor = node._process.pid
    (java,) = map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())
    room_for_last_words = node.log.stat().st_size + 2**16
    resource.prlimit(java, resource.RLIMIT_FSIZE, (room_for_last_words, resource.RLIM_INFINITY))
    wait_until(lambda: not kafka.alive, "Kafka stops")
    kafka.kill_node(1)  # lets go of what is left of it
    assert "Shutdown broker because all log dirs" in node.said()


def _kill(kafka: LocalKafka) -> None:
    kafka.kill_node(1)


@pytest.mark.parametrize("end", [_fill_disk, _kill])
def test_nothing_is_lost_and_nothing_counted_twice_when_the_only_broker_ends(
    kafka: LocalKafka, lanes: Sequence[Lane], end: Callable[[LocalKafka], None]
) -> None:
    (waiting,) = (lane for lane in lanes if lane.guarantee == "at_least_once")
    with flow(lanes):
        for lane in lanes:
            Cameras(lane.stage).send(60)  # so that there is something in hand when it happens
        try:
            end(kafka)
            waiting.wait_until_warned("waiting for brokers")
        finally:
            kafka.start_node(1)
    for lane in lanes:
        ended = lane.settle()
        lane.check()
        assert lane is not waiting or ended == []
        for status, said in ended:  # exactly once: librdkafka's transactions do not always survive it
            assert (status, said["event"], said["kind"]) == (1, "stopped", "DeliveryFailed")


# ----- what it takes


def _introduce_absent_broker(kafka: LocalKafka) -> None:
    """Let a second broker join the cluster and leave it: from then on replicas can be placed on it."""
    cluster = kafka._started()
    (ports,) = _free_ports(1)
    folder = kafka._folder / "absent"
    folder.mkdir()
    address = f"PLAINTEXT://127.0.0.1:{ports.clients}"
    settings = nodes._settings(1, folder / "data", cluster) | {
        "process.roles": "broker",
        "node.id": ABSENT_BROKER,
        "listeners": address,
        "advertised.listeners": address,
    }
    properties = folder / "server.properties"
    properties.write_text(nodes._render(settings))
    java = [str(cluster.java), *nodes._JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, cluster.jars))]
    form = [*java, "kafka.tools.StorageTool", "format", "-t", cluster.identity, "-c", str(properties)]
    process = GuardedProcess([form, [*java, "kafka.Kafka", str(properties)]], log=folder / "log")
    admin = admin_client(kafka.bootstrap_servers)
    try:
        wait_until(lambda: ABSENT_BROKER in admin.list_topics(timeout=10).brokers, "the second broker joins")
    finally:
        process.stop()
    wait_until(lambda: ABSENT_BROKER not in admin.list_topics(timeout=10).brokers, "the second broker is missed")
