"""The transactional sink on a real broker: outputs and offsets together or not at all, and fenced by the group."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.kafka.conftest import MakeTopic
from tests.support.members import begin
from tests.support.workers import wait_until
from worker.adapters.kafka import ExactlyOnceSink, KafkaReader, KafkaSink, KafkaSource
from worker.adapters.kafka.patience import never
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed, DeliveryRefused
from worker.domain.records import OutboundRecord, Record, TopicPartition


class Member:
    """A consumer with its transactional producer."""

    def __init__(self, servers: str, topic: str, protocol: str) -> None:
        options: dict[str, str | int] = {"group.protocol": protocol}
        if protocol == "classic":
            options["session.timeout.ms"] = 6000
        self.assigned: set[TopicPartition] = set()
        self.taken: list[Record] = []
        self._begun = set[TopicPartition]()
        self.source = KafkaSource(
            bootstrap_servers=servers,
            group_id=f"of-{topic}",
            topic=topic,
            options=options,
            max_poll_records=100,
            max_poll_bytes=10**7,
        )
        self.sink = ExactlyOnceSink(servers, {}, group_id=f"of-{topic}", group=self.source.group_metadata)
        self.source.subscribe(
            on_assigned=self.assigned.update,
            on_revoked=self.assigned.difference_update,
            on_lost=self.assigned.difference_update,
            on_committed=lambda _, __: None,
            on_missed=lambda _, __: None,
            on_waiting=lambda _, __: None,
        )

    def poll(self) -> None:
        self.taken += self.source.poll(0.05) or ()
        came = self.assigned - self._begun
        begin(self.source, came)
        self._begun = self.assigned.copy()

    def take(self, count: int) -> None:
        """Poll until so many records have come."""

        def came() -> bool:
            self.poll()
            return len(self.taken) >= count

        wait_until(came, f"{count} records come")

    def close(self) -> None:
        self.sink.close()
        self.source.close()


@pytest.fixture(params=["classic", "consumer"])
def pair(request: pytest.FixtureRequest, bootstrap_servers: str, make_topic: MakeTopic) -> Iterator["Pair"]:
    frames, outputs = make_topic(2), make_topic(2)
    found = Pair(bootstrap_servers, frames, outputs, request.param)
    yield found
    for member in found.members:
        member.close()


class Pair:
    def __init__(self, servers: str, frames: str, outputs: str, protocol: str) -> None:
        self.servers, self.frames, self.outputs, self.protocol = servers, frames, outputs, protocol
        self.members: list[Member] = []

    def join(self) -> Member:
        member = Member(self.servers, self.frames, self.protocol)
        self.members.append(member)
        return member

    def send(self, count: int) -> None:
        sink = KafkaSink(self.servers, {})
        sink.publish([OutboundRecord(self.frames, n % 2, None, b"%d" % n) for n in range(count)], {})
        sink.close()

    def output(self, partition: int, value: bytes) -> OutboundRecord:
        return OutboundRecord(self.outputs, partition, None, value)

    def committed_outputs(self) -> list[bytes | None]:
        reader = KafkaReader(self.servers, {})
        try:
            return [r.value for r in reader.read_to_end([TopicPartition(self.outputs, n) for n in range(2)])]
        finally:
            reader.close()

    def frame_partition(self, number: int) -> TopicPartition:
        return TopicPartition(self.frames, number)


MARKED = Checkpoint(5, frozenset({6, 9}))


def test_outputs_and_offsets_are_committed_together(pair: Pair) -> None:
    pair.send(10)
    first = pair.join()
    first.take(10)
    first.sink.publish([pair.output(0, b"of the first five")], {pair.frame_partition(0): MARKED})
    assert pair.committed_outputs() == [b"of the first five"]

    first.close()
    pair.members.clear()
    second = pair.join()
    second.take(5)
    assert {record.position.partition for record in second.taken} == {pair.frame_partition(1)}
    assert second.source.checkpoints([pair.frame_partition(0)], never) == {pair.frame_partition(0): MARKED}


def test_a_topic_of_frames_that_is_gone_is_named(pair: Pair) -> None:
    pair.send(2)
    member = pair.join()
    member.take(2)
    gone = {TopicPartition("no-such-frames", 0): Checkpoint(1)}
    with pytest.raises(DeliveryFailed, match=r"topic 'no-such-frames'.*create the topic"):
        member.sink.publish([pair.output(0, b"never written")], gone)

    assert pair.committed_outputs() == []


def test_offsets_of_a_partition_that_moved_away_are_refused_and_nothing_is_written(pair: Pair) -> None:
    """The first member sleeps through a rebalance, as a paused process would, and then tries to deliver."""
    pair.send(10)
    sleeper = pair.join()
    sleeper.take(10)
    stale = sleeper.source.group_metadata()
    other = pair.join()

    def shared() -> bool:
        sleeper.poll()
        other.poll()
        return len(sleeper.assigned) == len(other.assigned) == 1

    wait_until(shared, "each has a partition")
    (moved,) = other.assigned
    sleeper.sink._group = lambda: stale
    with pytest.raises(DeliveryRefused, match="the group's assignment has changed"):
        sleeper.sink.publish([pair.output(0, b"a zombie's")], {moved: Checkpoint(5)})

    other.sink.publish([pair.output(0, b"the owner's")], {moved: Checkpoint(5)})
    (kept,) = sleeper.assigned
    sleeper.sink._group = sleeper.source.group_metadata
    sleeper.sink.publish([pair.output(1, b"awake again")], {kept: Checkpoint(5)})
    assert set(pair.committed_outputs()) == {b"the owner's", b"awake again"}


def test_a_record_that_no_attempt_would_deliver_fails_at_once_and_takes_its_transaction_along(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    frames, outputs = make_topic(1), make_topic(1, {"max.message.bytes": "2000"})
    pair = Pair(bootstrap_servers, frames, outputs, "consumer")
    member = pair.join()
    pair.send(1)
    member.take(1)
    large = OutboundRecord(outputs, 0, None, bytes(5000))
    with pytest.raises(DeliveryFailed, match=r"raise max\.message\.bytes"):
        member.sink.publish([pair.output(0, b"small"), large], {TopicPartition(frames, 0): Checkpoint(1)})
    member.close()

    reader = KafkaReader(bootstrap_servers, {})
    assert list(reader.read_to_end([TopicPartition(outputs, 0)])) == []
    reader.close()


def test_reading_to_the_end_waits_for_an_open_transaction(bootstrap_servers: str, make_topic: MakeTopic) -> None:
    """Brokers can show its offsets before its records; a reader that has seen the offsets must get the records."""
    topic = make_topic(1)
    source = Pair(bootstrap_servers, make_topic(1), topic, "consumer").join()
    producer = source.sink._producer
    producer.begin_transaction()
    producer.produce(topic, b"pending", partition=0)
    producer.flush(10)
    reader = KafkaReader(bootstrap_servers, {})
    records = reader.read_to_end([TopicPartition(topic, 0)])
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(list, records)
        assert not wait([read], timeout=1.0).done
        producer.commit_transaction(10)

        assert [record.value for record in read.result()] == [b"pending"]
    reader.close()
    source.close()
