"""The four adapters, each against a real broker: what they promise, and what they say when it cannot be kept."""

import time
from itertools import islice

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient

from tests.kafka.conftest import MakeTopic
from tests.support.members import Members, fill, offsets
from tests.support.workers import wait_until
from worker.adapters.kafka import BrokerUnreachable, KafkaAdmin, KafkaReader, KafkaSink, Topic, reader
from worker.adapters.kafka.assignment import Assignment
from worker.adapters.kafka.patience import never
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed, SourceLost, WorkerError
from worker.domain.records import OutboundRecord, Record, TopicPartition

NOBODY = "127.0.0.1:1"
both_protocols = pytest.mark.parametrize("protocol", ["classic", "consumer"])


# ----- source

MARKED = Checkpoint(1, frozenset({3, 4, 16_384}))
"""As large a mark as there is."""


@both_protocols
def test_a_source_goes_on_where_its_group_has_committed(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, protocol: str
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 5)
    first = members.join(topic, protocol)
    assert offsets(first.take(5)) == [0, 1, 2, 3, 4]
    first.source.commit({TopicPartition(topic, 0): Checkpoint(3)}, wait=True)
    first.source.close()

    assert first.events == [("assigned", {0}), ("revoked", {0})]
    assert offsets(members.join(topic, protocol).take(2)) == [3, 4]


@both_protocols
def test_a_checkpoint_comes_back_with_its_mark_to_the_next_owner(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, protocol: str
) -> None:
    topic = make_topic(2)
    fill(bootstrap_servers, topic, 5)
    first = members.join(topic, protocol)
    first.take(5)
    first.source.commit({TopicPartition(topic, 0): MARKED}, wait=True)
    first.source.close()

    second = members.join(topic, protocol)
    second.take(1)
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    assert second.source.checkpoints(both, never) == {TopicPartition(topic, 0): MARKED}


def test_a_poll_takes_no_more_records_than_it_may(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 10)
    member = members.join(topic, max_poll_records=4)
    polls = list[list[int]]()

    def all_came() -> bool:
        polls.append(offsets(member.poll()))
        return sum(map(len, polls)) == 10

    wait_until(all_came, "all records come")
    assert max(map(len, polls)) <= 4
    assert [offset for poll in polls for offset in poll] == list(range(10))


def test_lag_is_what_lies_behind_the_position(bootstrap_servers: str, make_topic: MakeTopic, members: Members) -> None:
    topic = make_topic(2)
    fill(bootstrap_servers, topic, 7, partition=1)
    member = members.join(topic, max_poll_records=3)
    assert member.source.lag() == {}

    assert len(member.take(3)) == 3

    assert member.source.lag() == {TopicPartition(topic, 1): 4}


@both_protocols
@pytest.mark.parametrize("wait", [True, False])
def test_each_commit_has_one_outcome(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, protocol: str, *, wait: bool
) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 1)
    member = members.join(topic, protocol)
    member.take(1)

    member.source.commit({TopicPartition(topic, 0): MARKED}, wait=wait)
    member.poll_until_committed(1)
    member.source.commit({TopicPartition(topic, 0): MARKED, TopicPartition(topic, 9): Checkpoint(1)}, wait=wait)
    member.poll_until_committed(2)
    member.source.commit({TopicPartition(topic, 0): MARKED}, wait=wait)
    member.poll_until_committed(3)
    member.source.close()

    good, (stored, error), again = member.committed
    assert good == again == ({TopicPartition(topic, 0): MARKED}, None)
    assert TopicPartition(topic, 9) not in stored
    assert error is not None
    assert "Unknown topic or partition" in error


def test_a_commit_that_cannot_be_is_counted_not_raised(make_topic: MakeTopic, members: Members) -> None:
    member = members.join(make_topic())

    member.source.commit({TopicPartition("no-such-topic", 0): Checkpoint(1)}, wait=True)

    ((stored, error),) = member.committed
    assert stored == {}
    assert error is not None


def test_a_missing_topic_ends_the_source_and_is_named(members: Members) -> None:
    with pytest.raises(SourceLost, match=r"'no-such-topic'.*; create topic 'no-such-topic', or correct its name$"):
        members.join("no-such-topic").take(1)


def test_a_member_without_partitions_is_told_so_with_the_classic_protocol(
    make_topic: MakeTopic, members: Members
) -> None:
    topic = make_topic()
    first = members.join(topic)
    wait_until(lambda: first.poll() is not None and first.holds() == {0}, "the first has the partition")
    second = members.join(topic)

    def told() -> bool:
        first.poll()
        second.poll()
        return bool(second.events)

    wait_until(told, "the second hears of its assignment")
    assert second.events[0] == ("assigned", set())


MANY = 150
"""A broker needs some time to look up the offsets of this many partitions."""


@pytest.mark.parametrize("deleted", [0, 5], ids=["whole", "its first records are deleted"])
def test_a_partition_begins_where_it_is_told_to_however_long_it_was_held(
    bootstrap_servers: str, make_topic: MakeTopic, deleted: int
) -> None:
    """After half a second, librdkafka repeats a lookup whose answer came too late. These partitions begin just then."""
    topic = make_topic(MANY)
    partitions = [TopicPartition(topic, number) for number in range(MANY)]
    publish(bootstrap_servers, *(OutboundRecord(*each, b"key", b"value") for each in partitions for _ in range(8)))
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for future in admin.delete_records([Partition(*each, deleted) for each in partitions]).values():
        future.result()
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "none", "auto.offset.reset": "error"})
    firsts = dict[int, int]()

    def all_read() -> bool:
        message = consumer.poll(0.001)
        if message is not None and message.error() is None:
            firsts.setdefault(message.partition() or 0, message.offset() or 0)
        return len(firsts) == MANY

    try:
        assignment = Assignment(consumer, is_cooperative=True)
        assignment.add(partitions)
        held_until = time.monotonic() + 0.49
        wait_until(lambda: all_read() or time.monotonic() > held_until, "they are held", every=0)
        for each in partitions:
            assignment.begin({each: deleted})
        wait_until(all_read, "each partition is read", every=0)
    finally:
        consumer.close()
    assert set(firsts.values()) == {deleted}


@both_protocols
def test_what_a_poll_had_of_a_partition_that_went_during_it_is_left_to_the_next(
    bootstrap_servers: str, make_topic: MakeTopic, members: Members, protocol: str
) -> None:
    """So much lies ahead that the news comes while a poll still collects."""
    topic = make_topic(2)
    one = members.join(topic, protocol, max_poll_records=100_000)
    wait_until(lambda: one.poll() is not None and one.holds() == {0, 1}, "the first has both partitions")
    for partition in (0, 1):
        fill(bootstrap_servers, topic, 50_000, partition=partition)
    other = members.join(topic, protocol)
    taken = list[Record]()

    def gave_one_up() -> bool:
        one.handled.update({each.position.partition: Checkpoint(each.position.next_offset) for each in taken})
        taken[:] = one.poll()
        return len(one.holds()) == 1

    wait_until(gave_one_up, "the first gives one up")
    (gone,) = {0, 1} - one.holds()
    assert gone not in {each.position.partition.partition for each in taken}

    fill(bootstrap_servers, topic, 1, partition=gone)  # there is one more, though the first may have read all
    found = list[Record]()

    def went_on() -> bool:
        one.poll()  # the group may have more to tell it before the other gets what it gave up
        found.extend(record for record in other.poll() if record.position.partition.partition == gone)
        return bool(found)

    wait_until(went_on, "the other goes on with it")
    assert offsets(found)[0] == one.handed_over.get(TopicPartition(topic, gone), 0)


# ----- sink


def publish(servers: str, *records: OutboundRecord, **options: str | int) -> None:
    sink = KafkaSink(servers, {name.replace("_", "."): value for name, value in options.items()})
    try:
        sink.publish(records, {})
    finally:
        sink.close()


def test_what_a_sink_has_published_is_there(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    headers = (("a", b"1"), ("a", b"2"), ("nothing", None), ("empty", b""))
    sent = [
        OutboundRecord(topic, 1, b"key", b"value", headers),
        OutboundRecord(topic, 1, None, None),
        OutboundRecord(topic, 1, b"", b""),
    ]
    publish(bootstrap_servers, *sent)

    assert [(r.key, r.value, r.headers) for r in read(bootstrap_servers, topic, 2)] == [
        (r.key, r.value, r.headers) for r in sent
    ]


def test_the_key_decides_where_a_record_without_a_partition_goes(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    """As Java's clients decide: murmur2 of the key, without its sign, modulo the partitions."""
    topic = make_topic(10)
    publish(
        bootstrap_servers,
        *[OutboundRecord(topic, None, key, b"") for key in (b"21", b"foobar", b"a-little-bit-long-string")],
    )

    found = {record.key: record.position.partition.partition for record in read(bootstrap_servers, topic, 10)}
    murmur2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert found == {key: (value & 0x7FFFFFFF) % 10 for key, value in murmur2.items()}


def test_a_record_too_large_for_its_topic_is_refused_with_what_to_do(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    topic = make_topic(config={"max.message.bytes": "1000"})

    with pytest.raises(DeliveryFailed, match=f"'{topic}', partition 0.*raise max.message.bytes of the topic"):
        publish(bootstrap_servers, OutboundRecord(topic, 0, None, bytes(5000)))


def test_a_partition_that_is_not_there_is_refused_with_what_to_do(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    topic = make_topic()
    records = [OutboundRecord(topic, partition, None, b"value") for partition in (0, 7)]

    with pytest.raises(DeliveryFailed, match=f"'{topic}', partition 7.*as many partitions as the frames' topic"):
        publish(bootstrap_servers, *records)
    assert len(read(bootstrap_servers, topic, 1)) == 1


def test_a_missing_topic_is_refused_with_what_to_do(bootstrap_servers: str) -> None:
    with pytest.raises(DeliveryFailed, match=r"'no-such-topic'.*create the topic"):
        publish(bootstrap_servers, OutboundRecord("no-such-topic", 0, None, b""), topic_metadata_propagation_max_ms=200)


def test_a_sink_without_a_broker_gives_up_within_its_limit() -> None:
    with pytest.raises(DeliveryFailed, match=r"'topic', partition 0.*Connection refused; check that"):
        publish(NOBODY, OutboundRecord("topic", 0, None, b""), delivery_timeout_ms=500)


def test_a_sink_that_failed_once_publishes_no_more(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic = make_topic()
    sink = KafkaSink(bootstrap_servers, {})
    with pytest.raises(DeliveryFailed):
        sink.publish([OutboundRecord(topic, 7, None, b"")], {})
    with pytest.raises(DeliveryFailed, match="partition 7"):
        sink.publish([OutboundRecord(topic, 0, None, b"")], {})
    sink.close()

    assert read(bootstrap_servers, topic, 1) == []


# ----- reader


def read(servers: str, topic: str, partitions: int) -> list[Record]:
    found = KafkaReader(servers, {})
    try:
        return list(found.read_to_end([TopicPartition(topic, number) for number in range(partitions)]))
    finally:
        found.close()


def test_reading_empty_partitions_ends(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    assert read(bootstrap_servers, make_topic(3), 3) == []


def test_reading_no_partitions_ends(bootstrap_servers: str) -> None:
    assert read(bootstrap_servers, "no-such-topic", 0) == []


def test_reading_many_partitions_gives_every_record_in_order(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic = make_topic(12)
    sent = [OutboundRecord(topic, partition, None, b"") for partition in range(0, 12, 2) for _ in range(60 + partition)]
    publish(bootstrap_servers, *sent)
    records = read(bootstrap_servers, topic, 12)

    for partition in range(12):
        mine = [each for each in records if each.position.partition.partition == partition]
        assert offsets(mine) == list(range(0 if partition % 2 else 60 + partition))


def test_reading_begins_where_it_is_told_to(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    publish(bootstrap_servers, *(OutboundRecord(topic, number % 3, None, b"%d" % number) for number in range(12)))
    first, second, third = (TopicPartition(topic, number) for number in range(3))
    found = KafkaReader(bootstrap_servers, {})

    assert sorted(offsets(list(found.read_to_end([first, second], begins={second: 3})))) == [0, 1, 2, 3, 3]
    assert list(found.read_to_end([third], begins={third: 4})) == []
    found.close()


def test_reading_ends_behind_transactions_and_leaves_out_what_was_aborted(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    """A transaction ends with a marker that takes an offset and is no record."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    for number, end in enumerate(
        [producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]
    ):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.flush(30)
        end(30)

    assert [(r.position.offset, r.value) for r in read(bootstrap_servers, topic, 1)] == [(0, b"0"), (4, b"2")]


@pytest.mark.parametrize("partition", [0, 3])
def test_a_partition_that_cannot_be_read_is_named(
    bootstrap_servers: str, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch, partition: int
) -> None:
    monkeypatch.setattr(reader, "STALLED_AFTER", 0.1)
    topic = make_topic() if partition else "no-such-topic"
    found = KafkaReader(bootstrap_servers, {})

    with pytest.raises(SourceLost, match=topic):
        list(found.read_to_end([TopicPartition(topic, partition)]))
    found.close()


def test_following_gives_what_comes_and_says_when_nothing_does(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic = make_topic()
    fill(bootstrap_servers, topic, 2)
    found = KafkaReader(bootstrap_servers, {})
    stream = found.follow([TopicPartition(topic, 0)], from_beginning=True)

    def values(count: int) -> list[bytes | None]:
        return [each.value for each in islice((each for each in stream if each), count)]

    assert values(2) == [b"0", b"1"]
    assert next(stream) is None
    fill(bootstrap_servers, topic, 1)
    assert values(1) == [b"0"]
    found.close()


# ----- admin


def test_an_admin_creates_topics_once_and_tells_how_they_are(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    topic, admin = make_topic(2, {"cleanup.policy": "compact"}), KafkaAdmin(bootstrap_servers, {})
    admin.create([Topic(topic, 5)])

    found = admin.topics([topic, "no-such-topic"])
    assert found.keys() == {topic}
    assert (found[topic].partitions, found[topic].config["cleanup.policy"]) == (2, "compact")


def test_an_admin_without_a_broker_says_whom_it_asked() -> None:
    with pytest.raises(BrokerUnreachable, match=f"no broker answered at {NOBODY} within 1 s"):
        KafkaAdmin(NOBODY, {"log_level": 0}, timeout=1.0).topics(["frames"])


def test_an_admin_says_which_topic_was_not_created(bootstrap_servers: str) -> None:
    with pytest.raises(WorkerError, match="'not a name' was not created"):
        KafkaAdmin(bootstrap_servers, {}).create([Topic("not a name", 1)])
