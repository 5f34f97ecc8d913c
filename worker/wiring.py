"""The composition root: settings in, a worker out. The only place where adapters are constructed."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from worker import __version__, wire
from worker.adapters.allocator import keep_freed_memory
from worker.adapters.images import decode_image, limit_opencv_threads
from worker.adapters.kafka import ExactlyOnceSink, KafkaAdmin, KafkaReader, KafkaSink, KafkaSource
from worker.adapters.memory import MemorySink, MemorySource
from worker.adapters.ops_http import OpsServer
from worker.domain.accuracy import Tally
from worker.domain.batcher import WindowBatcher
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows
from worker.engines import warm_model
from worker.pipeline import OutputTopics, Pipeline
from worker.ports import Model, RestoreTallies, Sink, Source
from worker.processor import Pace, StreamProcessor
from worker.settings import Kafka, Limits, ModelGroup, Settings, Topics, WindowGroup
from worker.telemetry import Telemetry
from worker.watchdog import Pulse, Watchdog

STANDBY_AFTER = 15.0
"""Seconds after which a worker that was given no partitions counts as a standby: the newer group protocol does not
tell a member that there is nothing for it."""
CLASSIC_OPTIONS = frozenset(
    {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"}
)
"""librdkafka options that only the classic group protocol has; with the newer one the broker decides them."""
TELL_EVERY = 100_000
"""Accuracy records between two lines of progress."""
UNHURRIED = math.inf
"""Linger of a replay: files wait for nobody, so batches depend on the pictures alone."""


def wall_clock() -> EventMillis:
    """Read the wall clock."""
    return EventMillis(time.time_ns() // 1_000_000)


def monotonic_clock() -> Monotonic:
    """Read the clock that only moves forward."""
    return Monotonic(time.monotonic())


@contextmanager
def kafka_worker(settings: Settings) -> Iterator[StreamProcessor]:
    """Build a worker on Kafka, with its model warm and its pages served; on the way out it leaves the group.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
        OSError: the port of the pages is taken.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    telemetry = Telemetry(registry, max_cameras=settings.limits.max_cameras)
    model = warm_model(settings.model, telemetry, batch_size=settings.window.max_frames)
    limits = settings.limits
    protocol = _group_protocol(settings.kafka)
    structlog.get_logger("worker").info("group protocol", protocol=protocol, asked_for=settings.kafka.group_protocol)
    source = group_member(settings.kafka, settings.topics.frames, limits, protocol=protocol)
    sink = _results(settings, source)
    processor = build_processor(
        source=source,
        sink=sink,
        model=model,
        topics=settings.topics,
        window=settings.window,
        linger=settings.window.linger_ms / 1000,
        limits=limits,
        top_k=settings.model.top_k,
        commit_interval=settings.delivery.commit_interval_ms / 1000,
        max_poll_interval=settings.kafka.max_poll_interval,
        restore=partial(published_tallies, settings.kafka, settings.topics.accuracy),
        telemetry=telemetry,
    )
    watchdog = Watchdog(lambda: _pulse(processor), limit=settings.ops.stalled_after_s)
    ops = OpsServer(
        host=settings.ops.host,
        port=settings.ops.port,
        registry=registry,
        unhealthy=watchdog.fault,
        unready=lambda: _waiting(processor),
    )
    with ops:
        telemetry.serving(settings.ops.host, ops.port)
        watchdog.start()
        try:
            yield processor
        finally:
            watchdog.stop()
            sink.close()
            source.close()


def replay_processor(
    records: Iterable[Record],
    write: Callable[[OutboundRecord], None],
    *,
    model: ModelGroup,
    window: WindowGroup,
    limits: Limits,
    topics: Topics,
) -> StreamProcessor:
    """Build the same worker over records that are already here; what it publishes goes to `write`.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
    """
    telemetry = Telemetry(CollectorRegistry(), max_cameras=limits.max_cameras)
    return build_processor(
        source=MemorySource(records),
        sink=MemorySink(write),
        model=warm_model(model, telemetry, batch_size=1),
        topics=topics,
        window=window,
        linger=UNHURRIED,
        limits=limits,
        top_k=model.top_k,
        commit_interval=UNHURRIED,
        max_poll_interval=UNHURRIED,
        restore=lambda _: (),
        telemetry=telemetry,
    )


def build_processor(  # noqa: PLR0913 every part by name
    *,
    source: Source,
    sink: Sink,
    model: Model,
    topics: Topics,
    window: WindowGroup,
    linger: float,
    limits: Limits,
    top_k: int,
    commit_interval: float,
    max_poll_interval: float,
    restore: RestoreTallies,
    telemetry: Telemetry,
) -> StreamProcessor:
    """Put the parts together; the same for Kafka and for files."""
    keep_freed_memory()
    limit_opencv_threads(1)  # a frame is too small to share, and the model's threads need the cores
    return StreamProcessor(
        source=source,
        sink=sink,
        pipeline=Pipeline(
            decode=partial(decode_image, max_pixels=limits.max_pixels),
            model=model,
            top_k=top_k,
            topics=OutputTopics(topics.predictions, topics.accuracy, topics.dead_letters),
            worker_version=__version__,
        ),
        batcher=WindowBatcher(
            TumblingWindows(window.size_ms), lateness=window.lateness_ms, linger=linger, max_frames=window.max_frames
        ),
        restore=restore,
        telemetry=telemetry,
        pace=Pace(
            max_batch=window.max_frames,
            max_in_flight_bytes=limits.memory // 4,
            commit_interval=commit_interval,
            publish_within=max_poll_interval / 2,
            hand_over_within=_hand_over_within(max_poll_interval),
            max_failed_share=limits.max_failed_share,
        ),
        wall=wall_clock,
        monotonic=monotonic_clock,
    )


def group_member(kafka: Kafka, topic: str, limits: Limits, *, protocol: str) -> KafkaSource:
    """Build the consumer, which joins the group once it subscribes.

    Raises:
        SettingsError: librdkafka refuses one of its options.
    """
    return KafkaSource(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topic=topic,
        # The client prefetches into memory of its own, in KiB; by default that would be 64 MiB for every partition.
        options={
            "socket.timeout.ms": int(max(2, _hand_over_within(kafka.max_poll_interval)) * 1000),  # bounds a commit
            **kafka.options,
            "queued.max.messages.kbytes": max(1, limits.memory // 2 // 1024),
            "group.protocol": protocol,
            **kafka.consumer,
        },
        max_poll_records=limits.max_poll_records,
        max_poll_bytes=limits.memory // 4,
    )


def _hand_over_within(max_poll_interval: float) -> float:
    """Somebody waits for the partition, though the group would wait for all of the interval."""
    return max_poll_interval / 10


def _results(settings: Settings, source: KafkaSource) -> KafkaSink | ExactlyOnceSink:
    kafka = settings.kafka
    options = kafka.options | kafka.producer
    if settings.delivery.guarantee == "at_least_once":
        return KafkaSink(kafka.bootstrap_servers, options)
    return ExactlyOnceSink(kafka.bootstrap_servers, options, group_id=kafka.group_id, group=source.group_metadata)


def _group_protocol(kafka: Kafka) -> str:
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


def _pulse(processor: StreamProcessor) -> Pulse:
    now = monotonic_clock()
    return Pulse(now - processor.last_step, now - processor.last_poll, processor.stage)


def _waiting(processor: StreamProcessor) -> str | None:
    """A worker is ready once it has its partitions, or is known to have none for now: a standby is ready too."""
    began = processor.subscribed_at
    if processor.joined or (began is not None and monotonic_clock() - began > STANDBY_AFTER):
        return None
    return "the group has not assigned any partitions yet"
