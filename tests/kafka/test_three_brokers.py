"""Three brokers: ready when they say so, and real workers on them through a short form of `make chaos`."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.chaos.run import Run
from tests.chaos.scenarios import mixed
from tests.chaos.verdict import judge
from tests.support.workers import wait_until
from worker.adapters.kafka import BrokerProbe, KafkaAdmin, KafkaReader, reader
from worker.domain.errors import SourceLost
from worker.domain.records import TopicPartition
from worker.local.broker import LocalKafka

NODES = 3


@pytest.fixture(scope="module")
def three_brokers() -> Iterator[LocalKafka]:
    with LocalKafka(NODES) as kafka:
        yield kafka


# ----- before anybody has used them


def test_internal_topics_are_there_before_anyone_needs_them(three_brokers: LocalKafka) -> None:
    topics = AdminClient({"bootstrap.servers": three_brokers.bootstrap_servers}).list_topics(timeout=10).topics

    assert {"__consumer_offsets", "__transaction_state"} <= topics.keys()


def test_transactions_work_at_the_first_try(three_brokers: LocalKafka, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("librdkafka")
    for number in range(5):
        settings = {"bootstrap.servers": three_brokers.bootstrap_servers, "transactional.id": f"test-{number}"}
        producer = Producer(settings, logger=logger)
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.commit_transaction(10)
        producer.poll(0)  # hands over what the library logged

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# ----- while one of them is down


def test_partitions_without_a_leader_are_named(three_brokers: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    servers, name = three_brokers.bootstrap_servers, f"test-{uuid.uuid4().hex[:12]}"
    client = AdminClient({"bootstrap.servers": servers})
    client.create_topics([NewTopic(name, 3, replica_assignment=[[1], [2], [3]])])[name].result(30)
    admin = KafkaAdmin(servers, {}, timeout=60)
    three_brokers.kill_node(3)
    try:
        wait_until(lambda: bool(admin.topics([name])[name].offline), "the loss of the broker is noticed")

        assert admin.topics([name])[name].offline == (2,)
        monkeypatch.setattr(reader, "STALLED_AFTER", 2.0)
        found = KafkaReader(servers, {})
        with closing(found), pytest.raises(SourceLost) as lost:
            list(found.read_to_end([TopicPartition(name, number) for number in range(3)]))
        assert str(lost.value).endswith(
            f"partitions 2 of topic {name!r} have no leader; start the brokers that have their replicas"
        )
    finally:
        three_brokers.start_node(3)
        client.delete_topics([name])[name].result(30)


def test_a_worker_is_told_which_of_its_partitions_cannot_be_reached(three_brokers: LocalKafka) -> None:
    """The outputs count too, and partitions of other workers do not."""
    servers, names = three_brokers.bootstrap_servers, [f"test-{uuid.uuid4().hex[:12]}" for _ in range(2)]
    frames, predictions = names
    client = AdminClient({"bootstrap.servers": servers})
    leaders = {frames: [[1], [2]], predictions: [[3], [2]]}
    placed = [NewTopic(name, 2, replica_assignment=each) for name, each in leaders.items()]
    for made in client.create_topics(placed).values():
        made.result(30)
    probe = BrokerProbe(servers, {}, group=names[0], topic=frames, outputs=[predictions])
    first, second = TopicPartition(frames, 0), TopicPartition(frames, 1)
    wait_until(lambda: probe.ask([first, second]) is None, "all brokers answer")
    three_brokers.kill_node(3)
    try:
        # Until the controller has noticed the loss, an answer may still be without it.
        wait_until(
            lambda: (
                (lost := probe.ask([first, second])) is not None and lost.whom == f"the leaders of {predictions}[0]"
            ),
            "the partition without a leader is named",
        )
        assert probe.ask([second]) is None
        assert probe.ask([]) is None, "a standby needs any broker"
    finally:
        three_brokers.start_node(3)
    wait_until(lambda: probe.ask([first, second]) is None, "all brokers answer again")
    for deleted in client.delete_topics(names).values():
        deleted.result(30)


# ----- under load


@pytest.mark.thorough
def test_nothing_is_lost_and_nothing_counted_twice(three_brokers: LocalKafka, tmp_path: Path) -> None:
    """Exactly once, which promises more; `make chaos` plays both guarantees."""
    run = Run(three_brokers, NODES, "exactly_once", quick=True, seed=1, folder=tmp_path)
    try:
        mixed(run)
        run.finish()
    finally:
        run.close()
    assert judge(run.stage, run.excuses).faults("exactly_once", run.sent) == []
