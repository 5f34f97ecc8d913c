"""A group whose other members do not fit: the error names the group, and says what to do."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from confluent_kafka import Consumer

from tests.kafka.conftest import MakeTopic
from tests.support.workers import wait_until
from worker.adapters.kafka import KafkaSource
from worker.domain.errors import SourceLost


@contextmanager
def stranger(servers: str, group: str, topic: str, **options: str) -> Iterator[None]:
    """Another program is the only member of a group."""
    given = {name.replace("_", "."): value for name, value in options.items()}
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0, **given})
    consumer.subscribe([topic])
    wait_until(lambda: consumer.poll(0.1) is None and bool(consumer.assignment()), "the stranger has its partitions")
    ended = Event()

    def stay() -> None:
        while not ended.is_set():
            consumer.poll(0.1)
        consumer.close()

    thread = Thread(target=stay)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def told(servers: str, group: str, topic: str, **options: str) -> str:
    """Return why a worker's consumer cannot be a member."""
    given = {name.replace("_", "."): value for name, value in options.items()}
    source = KafkaSource(
        bootstrap_servers=servers, group_id=group, topic=topic, options=given, max_poll_records=1, max_poll_bytes=1
    )
    source.subscribe(
        on_assigned=lambda _: None,
        on_revoked=lambda _: None,
        on_lost=lambda _: None,
        on_committed=lambda *_: None,
        on_missed=lambda *_: None,
        on_waiting=lambda *_: None,
    )

    def polled() -> bool:
        source.poll(0.1)
        return False

    try:
        with pytest.raises(SourceLost) as lost:
            wait_until(polled, "the group refuses the member")
    finally:
        source.close()
    return str(lost.value)


def test_a_stranger_with_another_assignor_is_named_by_its_group(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), f"group-{uuid.uuid4().hex[:8]}"
    with stranger(bootstrap_servers, group, topic, partition_assignment_strategy="range"):
        text = told(bootstrap_servers, group, topic, group_protocol="classic")

    assert f"group {group!r} has members that assign partitions in another way" in text
    assert text.endswith("set kafka.group_id to a group that only these workers use")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"group_protocol": "classic", "session_timeout_ms": "1"}, "group.max.session.timeout.ms"),
        ({"group_protocol": "consumer", "group_remote_assignor": "none"}, "one that the brokers have, such as uniform"),
    ],
)
def test_an_option_that_the_group_refuses_is_named(
    bootstrap_servers: str, make_topic: MakeTopic, options: dict[str, str], advice: str
) -> None:
    assert told(bootstrap_servers, "refused", make_topic(), **options).endswith(advice)
