"""Build Kafka clients from settings."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing

import structlog

from worker import wire
from worker.adapters.kafka import (
    BrokerProbe,
    ExactlyOnceSink,
    KafkaAdmin,
    KafkaReader,
    KafkaSink,
    KafkaSource,
    Options,
)
from worker.domain.records import Record, Stopping, TopicPartition
from worker.domain.sequences import HiddenState
from worker.domain.tallies import Tally
from worker.settings import Delivery, Kafka, Limits, Topics
from worker.settings.topics import NEEDS

CLASSIC_OPTIONS = frozenset(
    {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"}
)
"""librdkafka options that only the classic group protocol supports; with the newer one the broker decides them."""
MAX_FETCH_WAIT_MS = 20
"""Milliseconds. At the rates where batching fetches matters, about six frames arrive in this time."""
PROGRESS_EVERY = 100_000
"""Records of saved state between two progress lines in the log."""


def group_member(
    kafka: Kafka, topics: Topics, limits: Limits, *, protocol: str, latency_target_ms: int | None = None
) -> KafkaSource:
    """Build the consumer of the frames; it joins the group when it subscribes.

    Raises:
        SettingsError: librdkafka refuses one of its options.
    """
    return KafkaSource(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topic=topics.frames,
        outputs=_partitioned_outputs(topics),
        cluster=kafka.options,
        options={**member_options(kafka, limits, latency_target_ms), "group.protocol": protocol, **kafka.consumer},
        max_poll_records=limits.max_poll_records,
        max_poll_bytes=limits.memory // 4,
    )


def member_options(kafka: Kafka, limits: Limits, latency_target_ms: int | None) -> Options:
    """Return the librdkafka options that follow from the settings; `kafka.consumer` overrides them.

    The client prefetches into its own memory, limited in KiB: by default 64 MiB per partition. A broker's response, by
    default up to 50 MiB, may come on top. Here both together are limited to half of `limits.memory`.

    With a latency target, a broker responds when several frames are available: with one response per frame, responses
    and their polls took a tenth of two cores, which the model needed.
    """
    batched_fetches: Options = {}
    if latency_target_ms is not None:
        wait = max(1, min(MAX_FETCH_WAIT_MS, latency_target_ms // 10))
        batched_fetches = {"fetch.min.bytes": 2**19, "fetch.wait.max.ms": wait}
    return {
        "socket.timeout.ms": int(max(2, kafka.hand_over_within) * 1000),  # nothing else limits a commit's time
        **batched_fetches,
        **kafka.options,
        "queued.max.messages.kbytes": max(1, limits.memory * 3 // 8 // 1024),
        "fetch.max.bytes": max(2**20, limits.memory // 8),  # librdkafka refuses less: a record must fit
    }


def results_sink(kafka: Kafka, delivery: Delivery, source: KafkaSource) -> KafkaSink | ExactlyOnceSink:
    """Build the producer of the results; in exactly-once mode it also commits the source's offsets."""
    options = kafka.options | kafka.producer
    if delivery.guarantee == "at_least_once":
        return KafkaSink(kafka.bootstrap_servers, options)
    return ExactlyOnceSink(kafka.bootstrap_servers, options, group_id=kafka.group_id, group=source.group_metadata)


def group_protocol(kafka: Kafka) -> str:
    """Choose the newer protocol (KIP-848) if every broker supports it and no option of the classic one is set."""
    if kafka.group_protocol != "auto":
        return kafka.group_protocol
    if CLASSIC_OPTIONS & (kafka.consumer.keys() | kafka.options.keys()):
        return "classic"
    return "consumer" if cluster_admin(kafka).has_consumer_protocol() else "classic"


def broker_probe(kafka: Kafka, topics: Topics) -> BrokerProbe:
    """Return a client that asks whether the brokers of a worker's partitions and of its group can be reached."""
    return BrokerProbe(
        kafka.bootstrap_servers,
        kafka.options,
        group=kafka.group_id,
        topic=topics.frames,
        outputs=_partitioned_outputs(topics),
    )


def cluster_admin(kafka: Kafka) -> KafkaAdmin:
    """Return a client that queries the cluster's topics."""
    return KafkaAdmin(kafka.bootstrap_servers, kafka.options)


def patient_admin(kafka: Kafka) -> KafkaAdmin:
    """Return a client that waits for the brokers for `kafka.wait_s`, and says what it waits for, each cause once."""
    log, said = structlog.get_logger("worker"), set[str]()

    def waiting(cause: str) -> None:
        if cause not in said:
            said.add(cause)
            log.warning("waiting for brokers", servers=kafka.bootstrap_servers, for_at_most_s=kafka.wait_s, cause=cause)

    return KafkaAdmin(kafka.bootstrap_servers, kafka.options, timeout=kafka.wait_s, waiting=waiting)


def cluster_reader(kafka: Kafka) -> KafkaReader:
    """Return a client that reads whole partitions without a consumer group."""
    return KafkaReader(kafka.bootstrap_servers, kafka.options, group_id=kafka.group_id)


def published_tallies(
    kafka: Kafka, topic: str, partitions: Collection[TopicPartition], stopping: Stopping
) -> Iterator[Tally]:
    """Read back the accuracy of input partitions, from the accuracy topic's partitions of the same numbers."""
    for tally in wire.newest_tallies(_saved(kafka, topic, partitions, stopping)):
        if tally.key.partition in partitions:
            yield tally


def published_states(
    kafka: Kafka, topic: str, partitions: Collection[TopicPartition], stopping: Stopping
) -> Iterator[HiddenState]:
    """Read back the hidden states of input partitions, from the state topic's partitions of the same numbers."""
    for state in wire.newest_states(_saved(kafka, topic, partitions, stopping)):
        if state.key.partition in partitions:
            yield state


def _partitioned_outputs(topics: Topics) -> list[str]:
    """Return the outputs that need a partition for each one of the frames."""
    return [name for role, name in topics.in_use().items() if NEEDS[role].partitions_as_frames]


def _saved(kafka: Kafka, topic: str, partitions: Collection[TopicPartition], stopping: Stopping) -> Iterator[Record]:
    """Read what was saved in the partitions of these numbers."""
    with closing(cluster_reader(kafka)) as reader:
        outputs = [TopicPartition(topic, each.partition) for each in partitions]
        yield from _with_progress(topic, reader.read_to_end(outputs, stopping=stopping))


def _with_progress(topic: str, records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records, and log their number from time to time."""
    log = structlog.get_logger("worker")
    for count, record in enumerate(records, start=1):
        if count % PROGRESS_EVERY == 0:
            log.info("restoring state", topic=topic, records=count)
        yield record
