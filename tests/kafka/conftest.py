"""A real Kafka for every test in this folder: the one of $KAFKA_BOOTSTRAP_SERVERS, or one of our own."""

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.members import Members
from worker.local.broker import LocalKafka


class MakeTopic(Protocol):
    def __call__(self, partitions: int = 1, config: Mapping[str, str] | None = None) -> str: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def bootstrap_servers() -> Iterator[str]:
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield given
    else:
        with LocalKafka() as kafka:
            yield kafka.bootstrap_servers


@pytest.fixture
def make_topic(bootstrap_servers: str) -> Iterator[MakeTopic]:
    """Create topics that no other test knows; they go with the test."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    made: list[str] = []

    def make(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        admin.create_topics([NewTopic(name, partitions, config=dict(config or {}))])[name].result(30)
        made.append(name)
        deadline = time.monotonic() + 30
        while not _is_usable(admin, name, partitions):
            assert time.monotonic() < deadline, f"topic {name} has no leaders after 30 seconds"
            time.sleep(0.05)
        return name

    yield make
    if made:
        for deleted in admin.delete_topics(made).values():
            deleted.result(30)


def _is_usable(admin: AdminClient, name: str, partitions: int) -> bool:
    """Tell whether every partition has a leader: created is not yet known everywhere."""
    known = admin.list_topics(name, timeout=10).topics[name].partitions
    return len(known) == partitions and all(partition.leader >= 0 for partition in known.values())


@pytest.fixture
def members(bootstrap_servers: str, make_topic: MakeTopic) -> Iterator[Members]:  # noqa: ARG001 topics go last
    with ExitStack() as stack:
        yield Members(bootstrap_servers, stack)
