"""Offsets, records or topics of a member are gone: it goes on where records are, and says what it lost."""

from collections.abc import Mapping

import pytest
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.conftest import MakeTopic
from tests.support.members import Members, fill, offsets
from tests.support.workers import wait_until
from worker.domain.errors import SourceLost
from worker.domain.records import TopicPartition

both_protocols = pytest.mark.parametrize("protocol", ["classic", "consumer"])


@pytest.fixture
def admin(bootstrap_servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})


@pytest.mark.parametrize(
    ("protocol", "strategy"), [("consumer", None), ("classic", "cooperative-sticky"), ("classic", "range")]
)
def test_records_that_are_deleted_under_a_member_are_missed_and_it_goes_on_behind_them(
    bootstrap_servers: str,
    admin: AdminClient,
    make_topic: MakeTopic,
    members: Members,
    protocol: str,
    strategy: str | None,
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 10)
    member = members.join(topic, protocol, options={"partition.assignment.strategy": strategy} if strategy else {})
    member.take(10)
    admin.delete_records([Partition(topic, 0, 7)])[Partition(topic, 0)].result(30)
    member.source.begin({TopicPartition(topic, 0): 3})

    assert offsets(member.take(3)) == [7, 8, 9]
    assert member.missed == [(TopicPartition(topic, 0), 4)]
    assert member.events == [("assigned", {0})]


@both_protocols
def test_a_partition_whose_end_lies_before_what_was_to_be_read_comes_again(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, protocol: str
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 4)
    member = members.join(topic, protocol)
    member.take(4)
    member.source.begin({TopicPartition(topic, 0): 50})

    assert offsets(member.take(4)) == [0, 1, 2, 3]
    assert member.events == [("assigned", {0}), ("lost", {0}), ("assigned", {0})]


@both_protocols
def test_a_topic_that_is_deleted_under_a_member_is_named(
    bootstrap_servers: str, admin: AdminClient, make_topic: MakeTopic, members: Members, protocol: str
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 1)
    member = members.join(topic, protocol)
    member.take(1)
    admin.delete_topics([topic])[topic].result(30)

    with pytest.raises(SourceLost, match=rf"{topic}.*(create it again|check that the topic exists)"):
        wait_until(lambda: member.poll() is None, "the loss is noticed")
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)


@pytest.mark.parametrize(("reset", "expected"), [("latest", [3]), ("smallest", [0])])
def test_a_group_that_has_committed_nothing_begins_where_the_user_says(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, reset: str, expected: list[int]
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 3)
    member = members.join(topic, "consumer", options={"auto.offset.reset": reset})
    wait_until(lambda: member.poll() is not None and member.holds() == {0} and not member.came, "it begins")
    fill(bootstrap_servers, topic, 1)

    assert offsets(member.take(1))[:1] == expected


def test_an_end_is_told_once_with_all_that_lies_before_it_handed_out(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 3)
    member = members.join(topic, "consumer")
    member.take(3)
    ends = list[Mapping[TopicPartition, int]]()

    def ended() -> bool:
        member.poll()
        ends.append(member.source.passed())
        return any(ends)

    wait_until(ended, "the end is told")
    assert ends[-1] == {TopicPartition(topic, 0): 3}
    assert member.source.passed() == {}
