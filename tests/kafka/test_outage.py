"""The brokers go away and come back: what a worker with nothing to do says of that, on its pages and in its log."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.test_output_faults import SOON_BACK
from tests.support.cameras import Cameras
from tests.support.trials import admin_client
from tests.support.workers import Stage, WarmWorker, persistently, stage, wait_until
from worker.adapters.kafka.reach import BrokerProbe
from worker.domain.records import TopicPartition
from worker.local.broker import LocalKafka

AFTER = 2.0
"""Seconds after which /readyz fails: fewer than by default, so that nobody waits."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    with LocalKafka(adjust=lambda settings: settings | SOON_BACK) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def topics(kafka: LocalKafka) -> Iterator[Stage]:
    with stage(kafka.bootstrap_servers, partitions=2) as topics:
        yield topics


@pytest.fixture
def on(topics: Stage) -> Stage:
    return reconnected(topics)


def reconnected(topics: Stage) -> Stage:
    """A client that was connected during an outage may never answer again."""
    return replace(topics, admin=admin_client(topics.servers))


@pytest.fixture(scope="module")
def worker(topics: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmWorker]:
    ops = {"unreachable_after_s": AFTER, "status_s": 0.5}
    with WarmWorker(topics.settings(ops=ops), tmp_path_factory.mktemp("outage")) as worker:
        worker.wait_until_ready()
        yield worker


def java_of(kafka: LocalKafka) -> int:
    """Return the process of the broker, which its supervisor has started."""
    (node,) = kafka._nodes
    assert node._process
    supervisor = node._process.pid
    return int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])


def troubles(worker: WarmWorker, since: int) -> list[dict[str, Any]]:
    """Return the status lines that say what is wrong."""
    return [line for line in worker.said()[since:] if line["event"] == "status" and line["trouble"]]


OUTAGES: dict[str, tuple[Callable[[LocalKafka], None], Callable[[LocalKafka], None], str]] = {
    "killed": (lambda kafka: kafka.kill_node(1), lambda kafka: kafka.start_node(1), "Connection refused"),
    "paused": (
        lambda kafka: os.kill(java_of(kafka), signal.SIGSTOP),
        lambda kafka: os.kill(java_of(kafka), signal.SIGCONT),
        "check that every broker of the cluster is up",
    ),
}


@pytest.mark.parametrize(("begin", "end", "cause"), OUTAGES.values(), ids=OUTAGES)
def test_a_worker_without_brokers_says_so_until_they_are_back(
    kafka: LocalKafka,
    on: Stage,
    worker: WarmWorker,
    begin: Callable[[LocalKafka], None],
    end: Callable[[LocalKafka], None],
    cause: str,
) -> None:
    Cameras(on).send(4)
    on.wait_until_done()
    wait_until(lambda: set(worker.metrics("lag_records").values()) == {0}, "the worker is at the end")
    assert worker.metrics("brokers_unreachable_seconds") == {(): 0}
    already_said = len(worker.said())

    begin(kafka)
    try:
        wait_until(lambda: worker.page("/readyz")[0] == 503, "the worker is not ready")
        # The first question of an outage may hear how the connection ended; later ones hear why there is none.
        wait_until(lambda: cause in worker.page("/readyz")[1], "the page says why")
        status, page = worker.page("/readyz")
        assert status == 503
        assert page.startswith("no answer for ")
        assert f"s from the brokers at {on.servers}: " in page
        assert worker.page("/healthz") == (200, "ok\n"), "a restart would not help"
        assert worker.metrics("brokers_unreachable_seconds")[()] > AFTER
        assert worker.metrics("lag_records") == {}, "what is not known is not shown"
        wait_until(lambda: bool(troubles(worker, already_said)), "the status line says it")
        said = troubles(worker, already_said)[-1]
        assert (said["lag"], said["trouble"].startswith("no answer for ")) == (None, True)
    finally:
        end(kafka)

    wait_until(lambda: worker.page("/readyz")[0] == 200, "the worker is ready again")
    wait_until(lambda: worker.metrics("brokers_unreachable_seconds") == {(): 0}, "the brokers answer again")
    on = reconnected(on)
    Cameras(on).send(4)
    on.wait_until_done()
    wait_until(lambda: set(worker.metrics("lag_records").values()) == {0}, "the lag is known again")
    assert any(line["event"] == "the brokers answer again" for line in worker.said()[already_said:])


def test_a_worker_that_is_stopped_sums_up_what_it_did(on: Stage, worker: WarmWorker) -> None:
    """The last test of this file: it ends the worker."""
    frames = sum(persistently(on.ends).values())
    assert worker.stop() == 0

    last = worker.said()[-1]
    assert (last["event"], last["frames"], last["topic"]) == ("summary", frames, on.predictions)
    assert last["outcomes"]["predicted"] + last["outcomes"].get("rejected", 0) == frames


def test_a_probe_answers_again_with_the_client_that_failed_before() -> None:
    """Nothing listens there: each question ends in time, and says which brokers were asked."""
    probe = BrokerProbe("127.0.0.1:1", {}, group="group", topic="frames", outputs=["predictions"])
    for _ in range(2):
        unreached = probe.ask([TopicPartition("frames", 0)])
        assert unreached is not None
        assert unreached.whom == "the brokers at 127.0.0.1:1"
        assert "Connection refused" in unreached.cause


def test_a_topic_that_the_brokers_do_not_know_is_no_answer(on: Stage) -> None:
    """A worker that has partitions has seen all its topics: the brokers do not know this one yet, or no longer."""
    servers, partition = on.servers, TopicPartition(on.frames, 0)
    assert BrokerProbe(servers, {}, group=on.group, topic=on.frames, outputs=[on.accuracy]).ask([partition]) is None

    unreached = BrokerProbe(servers, {}, group=on.group, topic=on.frames, outputs=["unknown"]).ask([partition])
    assert unreached is not None
    assert unreached.whom == "the leaders of unknown[0]"


@pytest.fixture
def two_brokers() -> Iterator[LocalKafka]:
    """Groups have one coordinator each, and no other broker can take its place."""
    with LocalKafka(2, adjust=lambda settings: settings | {"offsets.topic.replication.factor": 1}) as kafka:
        yield kafka


def test_a_coordinator_that_is_gone_is_named_while_the_other_brokers_answer(two_brokers: LocalKafka) -> None:
    servers, frames = two_brokers.bootstrap_servers, f"test-{uuid.uuid4().hex[:12]}"
    client = AdminClient({"bootstrap.servers": servers})
    client.create_topics([NewTopic(frames, 1, replica_assignment=[[1]])])[frames].result(30)
    described = client.describe_consumer_groups([f"group-{number}" for number in range(10)])
    groups = {each.result().coordinator.id: name for name, each in described.items()}
    near, far = (BrokerProbe(servers, {}, group=groups[number], topic=frames, outputs=[]) for number in (1, 2))
    partition = TopicPartition(frames, 0)
    wait_until(lambda: near.ask([partition]) is far.ask([partition]) is None, "all brokers answer")

    two_brokers.kill_node(2)

    lost = far.ask([partition])
    assert lost is not None
    assert lost.whom == f"the coordinator of group {groups[2]!r}"
    assert near.ask([partition]) is None
