"""Accuracy comes back from a topic that compaction has not caught up with: its last records, and only those needed."""

import time

from tests.kafka.conftest import MakeTopic
from tests.support.frames import MODEL
from worker import wire
from worker.adapters.kafka import KafkaSink
from worker.adapters.kafka.patience import never
from worker.app.cluster import published_tallies
from worker.domain.records import TopicPartition
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.settings import Kafka
from worker.state.accuracy import RunningAccuracy

RECORDS = 100_000
CAMERAS = 20
OURS, THEIRS = TopicPartition("frames", 0), TopicPartition("frames", 1)


def tally(partition: TopicPartition, number: int) -> Tally:
    """Return the tally of one of the cameras after so many frames of its partition."""
    key = TallyKey(partition, f"cam-{number % CAMERAS}", MODEL)
    seen = number // CAMERAS + 1
    return Tally(key, EventMillis(0), seen, seen, seen // 2, seen, next_offset=number + 1)


def test_the_last_of_many_records_are_restored_and_other_partitions_are_not_read(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    topic = make_topic(2, {"cleanup.policy": "compact"})
    sink = KafkaSink(bootstrap_servers, {"linger.ms": 50, "compression.type": "lz4"})
    for number in range(RECORDS):
        sink.send(wire.render_accuracy(topic, tally(OURS, number), published_at=EventMillis(0)))
    sink.send(wire.render_accuracy(topic, tally(THEIRS, 0), published_at=EventMillis(0)))
    sink.flush()
    sink.close()

    accuracy, began = RunningAccuracy(), time.monotonic()
    accuracy.restore(list(published_tallies(Kafka(bootstrap_servers=bootstrap_servers), topic, [OURS], never)))
    print(f"{RECORDS} accuracy records restored in {time.monotonic() - began:.1f} s")  # noqa: T201 a figure to read

    assert set(accuracy.tallies()) == {tally(OURS, number) for number in range(RECORDS - CAMERAS, RECORDS)}
