"""Outputs cannot be written: the worker waits or stops as docs/delivery.md says, loses nothing, and tells it.

Both guarantees go through each fault at the same time, each on topics of its own, so that they wait together.
"""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cameras import Cameras
from tests.support.trials import ABSENT_BROKER, KAFKA, NO_ROOM, ROOM, Trial, admin_client, flow
from tests.support.workers import wait_until
from worker.local import node as nodes
from worker.local.broker import LocalKafka, _free_ports
from worker.local.guarded import GuardedProcess

SOON_BACK = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}
"""A broker that was killed is let in again once its old session is over: with Kafka's nine seconds most of our time."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    with LocalKafka(adjust=lambda settings: settings | SOON_BACK) as kafka:
        _introduce_absent_broker(kafka)
        yield kafka


@pytest.fixture(scope="module")
def both(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Trial]]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as undo:
        trials = [Trial(guarantee, kafka.bootstrap_servers, folder, undo) for guarantee in KAFKA]
        for trial in trials:
            Cameras(trial.stage).send(20)
        yield trials


@pytest.fixture
def trials(both: Sequence[Trial]) -> Sequence[Trial]:
    """Both trials with a worker that has nothing left to do, whatever became of the one before."""
    for trial in both:
        trial.settle()
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
    inflict: Callable[[Trial], None]
    mend: Callable[[Trial], None]


FAULTS = {
    "its topic is gone": Fault(
        "predictions",
        "create the topic",
        lambda trial: trial.delete_predictions(),
        lambda trial: trial.create_predictions(),
    ),
    "a prediction is too large": Fault(
        "predictions",
        "raise max.message.bytes",
        lambda trial: trial.configure(trial.stage.predictions, "max.message.bytes", NO_ROOM),
        lambda trial: trial.configure(trial.stage.predictions, "max.message.bytes", ROOM),
    ),
    "a dead letter is too large": Fault(
        "dead_letters",
        "raise max.message.bytes",
        lambda trial: trial.send_damaged(),
        lambda trial: trial.configure(trial.stage.dead_letters, "max.message.bytes", ROOM),
    ),
}


@pytest.mark.parametrize(
    "fault",
    [
        FAULTS["its topic is gone"],
        pytest.param(FAULTS["a prediction is too large"], marks=pytest.mark.thorough),
        FAULTS["a dead letter is too large"],
    ],
    ids=FAULTS,
)
def test_a_refused_output_stops_the_worker_which_says_what_to_do(trials: Sequence[Trial], fault: Fault) -> None:
    # Before there are frames: a prediction written after a topic was read and before it is deleted is gone with it.
    for trial in trials:
        fault.inflict(trial)
    with flow(trials):
        try:
            ended = [trial.last_words() for trial in trials]
        finally:
            for trial in trials:
                fault.mend(trial)
        for trial, (status, said) in zip(trials, ended, strict=True):
            assert (status, said["event"], said["kind"]) == (1, "stopped", "DeliveryFailed")
            assert f"topic {getattr(trial.stage, fault.output)!r}" in said["error"]
            assert fault.advice in said["error"]
            trial.check_offsets()
            trial.start()
    for trial in trials:
        assert trial.settle() == [], trial.guarantee
        trial.check()


# ----- what passes


def test_a_worker_waits_for_replicas_to_be_in_sync_and_says_so(trials: Sequence[Trial]) -> None:
    committed = [trial.stage.committed() for trial in trials]
    doubtful = [set(trial.doubtful) for trial in trials]
    for trial in trials:
        trial.configure(trial.stage.predictions, "min.insync.replicas", "2")
    with flow(trials):
        for trial, before in zip(trials, committed, strict=True):
            try:
                trial.wait_until_warned(trial.stage.predictions)
                assert trial.stage.committed() == before, trial.guarantee
            finally:
                trial.configure(trial.stage.predictions, "min.insync.replicas", "1")
    for trial, as_before in zip(trials, doubtful, strict=True):
        assert trial.settle() == [], trial.guarantee
        trial.doubtful = as_before  # nobody stopped, so nothing is published again
        trial.check()


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


@pytest.mark.parametrize(("end", "frames"), [pytest.param(_fill_disk, 300, marks=pytest.mark.thorough), (_kill, 60)])
def test_nothing_is_lost_and_nothing_counted_twice_when_the_only_broker_ends(
    kafka: LocalKafka, trials: Sequence[Trial], end: Callable[[LocalKafka], None], frames: int
) -> None:
    """There is work for longer than the broker takes to end, so that some is in hand when it does."""
    (waiting,) = (trial for trial in trials if trial.guarantee == "at_least_once")
    with flow(trials):
        for trial in trials:
            Cameras(trial.stage).send(frames)
        try:
            end(kafka)
            waiting.wait_until_warned("waiting for brokers")
        finally:
            kafka.start_node(1)
    for trial in trials:
        ended = trial.settle()
        trial.check()
        assert trial is not waiting or ended == []
        for status, said in ended:  # exactly once: librdkafka's transactions do not always survive it
            assert (status, said["event"], said["kind"]) == (1, "stopped", "DeliveryFailed")


# ----- what it takes


def _introduce_absent_broker(kafka: LocalKafka) -> None:
    """Let a second broker join the cluster and leave it: from then on replicas can be placed on it."""
    cluster = kafka._started()
    (ports,) = _free_ports(1)
    folder = kafka._folder / "absent"
    (folder / "data").mkdir(parents=True)
    identity = f"version=1\ncluster.id={cluster.identity}\nnode.id={ABSENT_BROKER}\n"
    (folder / "data" / "meta.properties").write_text(identity)
    address = f"PLAINTEXT://127.0.0.1:{ports.clients}"
    settings = (
        nodes._settings(1, folder / "data", cluster)
        | SOON_BACK
        | {
            "process.roles": "broker",
            "node.id": ABSENT_BROKER,
            "listeners": address,
            "advertised.listeners": address,
        }
    )
    (folder / "server.properties").write_text(nodes._render(settings))
    java = [str(cluster.java), *nodes._JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, cluster.jars))]
    process = GuardedProcess([[*java, "kafka.Kafka", str(folder / "server.properties")]], log=folder / "log")
    admin = admin_client(kafka.bootstrap_servers)
    try:
        wait_until(lambda: ABSENT_BROKER in admin.list_topics(timeout=10).brokers, "the second broker joins")
    finally:
        process.stop()
    wait_until(lambda: ABSENT_BROKER not in admin.list_topics(timeout=10).brokers, "the second broker is missed")
