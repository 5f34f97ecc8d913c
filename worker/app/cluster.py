"""Which clients talk to the cluster, and how: settings in, Kafka clients out."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing

import structlog

from worker import wire
from worker.adapters.kafka import ExactlyOnceSink, KafkaAdmin, KafkaReader, KafkaSink, KafkaSource, Options
from worker.domain.records import Record, TopicPartition
from worker.domain.tallies import Tally
from worker.settings import Delivery, Kafka, Limits

CLASSIC_OPTIONS = frozenset(
    {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"}
)
"""librdkafka options that only the classic group protocol has; with the newer one the broker decides them."""
MOST_FETCH_WAIT_MS = 20
"""By then half a dozen frames are there at rates at which it matters."""
TELL_EVERY = 100_000
"""Accuracy records between two lines of progress."""


def group_member(
    kafka: Kafka, topic: str, limits: Limits, *, protocol: str, latency_target_ms: int | None = None
) -> KafkaSource:
    """Build the consumer, which joins the group once it subscribes.

    Raises:
        SettingsError: librdkafka refuses one of its options.
    """
    return KafkaSource(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topic=topic,
        options={**member_options(kafka, limits, latency_target_ms), "group.protocol": protocol, **kafka.consumer},
        max_poll_records=limits.max_poll_records,
        max_poll_bytes=limits.memory // 4,
    )


def member_options(kafka: Kafka, limits: Limits, latency_target_ms: int | None) -> Options:
    """Return librdkafka's options as far as they follow from the settings; the consumer's own go over them.

    The client prefetches into memory of its own, in KiB; by default that would be 64 MiB for every partition, and one
    answer of a broker, which may come on top, 50 MiB. Together they are half of the limit.

    Under a latency target a broker answers once some frames are there: frame by frame, its answers and the polls of
    them took a tenth of two cores that the model needed.
    """
    together: Options = {}
    if latency_target_ms is not None:
        wait = max(1, min(MOST_FETCH_WAIT_MS, latency_target_ms // 10))
        together = {"fetch.min.bytes": 2**19, "fetch.wait.max.ms": wait}
    return {
        "socket.timeout.ms": int(max(2, kafka.hand_over_within) * 1000),  # nothing else bounds a commit
        **together,
        **kafka.options,
        "queued.max.messages.kbytes": max(1, limits.memory * 3 // 8 // 1024),
        "fetch.max.bytes": max(2**20, limits.memory // 8),  # less is refused: a record must fit
    }


def results_sink(kafka: Kafka, delivery: Delivery, source: KafkaSource) -> KafkaSink | ExactlyOnceSink:
    """Build the producer of predictions, accuracy and dead letters; exactly once, it commits the source's offsets."""
    options = kafka.options | kafka.producer
    if delivery.guarantee == "at_least_once":
        return KafkaSink(kafka.bootstrap_servers, options)
    return ExactlyOnceSink(kafka.bootstrap_servers, options, group_id=kafka.group_id, group=source.group_metadata)


def group_protocol(kafka: Kafka) -> str:
    """Choose the newer protocol (KIP-848) where every broker has it and no option of the older one is set."""
    if kafka.group_protocol != "auto":
        return kafka.group_protocol
    if CLASSIC_OPTIONS & (kafka.consumer.keys() | kafka.options.keys()):
        return "classic"
    return "consumer" if cluster_admin(kafka).has_consumer_protocol() else "classic"


def cluster_admin(kafka: Kafka) -> KafkaAdmin:
    """Return what asks the cluster about its topics."""
    return KafkaAdmin(kafka.bootstrap_servers, kafka.options)


def cluster_reader(kafka: Kafka) -> KafkaReader:
    """Return what reads whole partitions outside any group."""
    return KafkaReader(kafka.bootstrap_servers, kafka.options)


def published_tallies(kafka: Kafka, topic: str, partitions: Collection[TopicPartition]) -> Iterator[Tally]:
    """Read back the accuracy of input partitions: it lies in the partitions of the same numbers, and only those."""
    with closing(cluster_reader(kafka)) as reader:
        outputs = [TopicPartition(topic, each.partition) for each in partitions]
        records = reader.read_to_end(outputs, wait_for_open=True)
        for tally in wire.newest_tallies(_telling(records)):
            if tally.key.partition in partitions:
                yield tally


def _telling(records: Iterable[Record]) -> Iterator[Record]:
    """Pass records on, and say now and then how many there were."""
    log = structlog.get_logger("worker")
    for count, record in enumerate(records, start=1):
        if count % TELL_EVERY == 0:
            log.info("restoring accuracy", records=count)
        yield record
