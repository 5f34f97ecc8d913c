"""Three brokers: ready when they say so, and real workers on them through a short form of `make chaos`."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.chaos.run import Run
from tests.chaos.scenarios import mixed
from tests.chaos.verdict import judge
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


# ----- under load


def test_nothing_is_lost_and_nothing_counted_twice(three_brokers: LocalKafka, tmp_path: Path) -> None:
    """Exactly once, which promises more; `make chaos` plays both guarantees."""
    run = Run(three_brokers, NODES, "exactly_once", quick=True, seed=1, folder=tmp_path)
    try:
        mixed(run)
        run.finish()
    finally:
        run.close()
    assert judge(run.stage, run.excuses).faults("exactly_once", run.sent) == []
