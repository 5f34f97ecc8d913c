"""The composition root: settings in, a worker out. The only place where adapters are constructed."""

import gc
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from worker import __version__
from worker.adapters.clocks import monotonic_clock, wall_clock
from worker.adapters.http import OpsServer
from worker.adapters.memory import Event, MemorySink, MemorySource
from worker.app.cluster import group_member, group_protocol, published_tallies, results_sink
from worker.domain.latency import Bounds, LatencyControl
from worker.domain.records import OutboundRecord, Record
from worker.domain.windows import TumblingWindows
from worker.media.images import limit_opencv_threads
from worker.models.build import cores, load_model
from worker.models.classifier import Classifier
from worker.models.preparation import frame_decoder
from worker.ops.telemetry import Telemetry
from worker.ops.watchdog import Pulse, Watchdog
from worker.ports import Decode, Model, RestoreTallies, Sink, Source
from worker.settings import Limits, ModelGroup, Settings, Topics, WindowGroup
from worker.stream.batcher import WindowBatcher
from worker.stream.model_calls import Lane
from worker.stream.pace import BACKLOG, Pace
from worker.stream.pipeline import OutputTopics, Pipeline
from worker.stream.worker import StreamProcessor

STANDBY_AFTER = 15.0
"""Seconds after which a worker that was given no partitions counts as a standby: the newer group protocol does not
tell a member that there is nothing for it."""
UNHURRIED = math.inf
"""Linger of a replay: files wait for nobody, so batches depend on the pictures alone."""


@dataclass(frozen=True, slots=True)
class Helpers:
    """The threads beside the loop.

    Attributes:
        decoders: decode frames; None where the threads of the model do.
        inference: runs the model, as many calls at once as it has streams.
    """

    decoders: Executor | None
    inference: Executor


@contextmanager
def helpers(model: ModelGroup, limits: Limits, inference: Executor) -> Iterator[Helpers]:
    """Start the threads that decode, if any; they end with the block, and leave undone what nobody waits for."""
    full = model.device == "cpu" and model.streams >= cores()  # more threads would only take turns
    decoders = None
    if limits.decode_threads is not None or not full:
        decoders = ThreadPoolExecutor(limits.decode_threads or cores(), "decode")
    try:
        yield Helpers(decoders, inference)
    finally:
        if decoders is not None:
            decoders.shutdown(cancel_futures=True)


@contextmanager
def kafka_worker(settings: Settings, inference: Executor) -> Iterator[StreamProcessor]:
    """Build a worker on Kafka, with its model warm and its pages served; on the way out it leaves the group.

    Args:
        settings: all of them.
        inference: runs the model, as many calls at once as it has streams.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
        OSError: the port of the pages is taken.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    telemetry = Telemetry(registry, max_cameras=settings.limits.max_cameras)
    model = load_model(settings.model)
    began = monotonic_clock()
    model.warm_up(settings.window.max_frames)
    warm_up_seconds = monotonic_clock() - began
    group = settings.model
    telemetry.model_ready(model.identity, group.device, group.engine, warm_up_seconds=warm_up_seconds)
    limits = settings.limits
    protocol = group_protocol(settings.kafka)
    structlog.get_logger("worker").info("group protocol", protocol=protocol, asked_for=settings.kafka.group_protocol)
    target = settings.window.latency_target_ms
    source = group_member(settings.kafka, settings.topics.frames, limits, protocol=protocol, latency_target_ms=target)
    sink = results_sink(settings.kafka, settings.delivery, source)
    with helpers(settings.model, limits, inference) as beside:
        processor = build_processor(
            source=source,
            sink=sink,
            decode=frame_decoder(model.preprocessing, settings.model, max_pixels=limits.max_pixels),
            model=model,
            topics=settings.topics,
            window=settings.window,
            bounds=_bounds(settings),
            limits=limits,
            top_k=settings.model.top_k,
            pace=_pace(settings),
            restore=partial(published_tallies, settings.kafka, settings.topics.accuracy),
            telemetry=telemetry,
            beside=beside,
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
            _freeze_what_stays()
            telemetry.serving(settings.ops.host, ops.port)
            watchdog.start()
            try:
                yield processor
            finally:
                watchdog.stop()
                sink.close()
                source.close()


@contextmanager
def replay_processor(
    records: Iterable[Record],
    write: Callable[[OutboundRecord], None],
    inference: Executor,
    *,
    model: ModelGroup,
    window: WindowGroup,
    limits: Limits,
    topics: Topics,
) -> Iterator[StreamProcessor]:
    """Build the same worker over records that are already here; what it publishes goes to `write`.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
    """
    classifier = load_model(model)
    classifier.warm_up(1)
    with memory_processor(
        records, write, inference, classifier=classifier, model=model, window=window, limits=limits, topics=topics
    ) as processor:
        yield processor


@contextmanager
def memory_processor(
    script: Iterable[Event],
    write: Callable[[OutboundRecord], None],
    inference: Executor,
    *,
    classifier: Classifier,
    model: ModelGroup,
    window: WindowGroup,
    limits: Limits,
    topics: Topics,
) -> Iterator[StreamProcessor]:
    """Build the same worker around a model that is loaded, over records that are here or are made as they are read.

    Raises:
        ModelUnavailable: frames cannot be prepared as the settings of the model say.
    """
    telemetry = Telemetry(CollectorRegistry(), max_cameras=limits.max_cameras)
    with helpers(model, limits, inference) as beside:
        yield build_processor(
            source=MemorySource(script),
            sink=MemorySink(write),
            decode=frame_decoder(classifier.preprocessing, model, max_pixels=limits.max_pixels),
            model=classifier,
            topics=topics,
            window=window,
            bounds=Bounds(target=None, linger=UNHURRIED, max_frames=window.max_frames, max_poll_interval=UNHURRIED),
            limits=limits,
            top_k=model.top_k,
            pace=Pace(
                max_in_flight_bytes=limits.memory // 4,
                commit_interval=UNHURRIED,
                publication_interval=0.0,
                backlog_interval=0.0,
                publish_within=UNHURRIED,
                hand_over_within=UNHURRIED,
            ),
            restore=lambda _: (),
            telemetry=telemetry,
            beside=beside,
        )


def build_processor(  # noqa: PLR0913 every part by name
    *,
    source: Source,
    sink: Sink,
    decode: Decode,
    model: Model,
    topics: Topics,
    window: WindowGroup,
    bounds: Bounds,
    limits: Limits,
    top_k: int,
    pace: Pace,
    restore: RestoreTallies,
    telemetry: Telemetry,
    beside: Helpers,
) -> StreamProcessor:
    """Put the parts together; the same for Kafka and for files."""
    limit_opencv_threads(1)  # a frame is too small to share, and the model's threads need the cores
    pipeline = Pipeline(
        decode=decode,
        model=model,
        top_k=top_k,
        topics=OutputTopics(topics.predictions, topics.accuracy, topics.dead_letters),
        worker_version=__version__,
    )
    return StreamProcessor(
        source=source,
        sink=sink,
        pipeline=pipeline,
        lane=Lane(
            pipeline,
            decoders=beside.decoders,
            inference=beside.inference,
            max_batch=bounds.max_frames,
            max_failed_share=limits.max_failed_share,
            monotonic=monotonic_clock,
        ),
        batcher=WindowBatcher(
            TumblingWindows(window.size_ms),
            lateness=window.lateness_ms,
            linger=bounds.linger,
            max_frames=bounds.max_frames,
        ),
        control=LatencyControl(bounds),
        restore=restore,
        telemetry=telemetry,
        pace=pace,
        wall=wall_clock,
        monotonic=monotonic_clock,
    )


def _freeze_what_stays() -> None:
    """Keep Python's garbage collector from what lives as long as the worker does.

    Libraries and model are some 400,000 objects. To look through them takes a third of a second in which no thread runs
    Python: a frame that comes then waits for as long.
    """
    gc.collect()
    gc.freeze()


def _bounds(settings: Settings) -> Bounds:
    target = settings.window.latency_target_ms
    return Bounds(
        target=None if target is None else target / 1000,
        linger=settings.window.linger_ms / 1000,
        max_frames=settings.window.max_frames,
        max_poll_interval=settings.kafka.max_poll_interval,
    )


def _pace(settings: Settings) -> Pace:
    """Exactly once, results are seen once they are committed, and a target leaves room for that."""
    interval, target = settings.delivery.commit_interval_ms / 1000, settings.window.latency_target_ms
    publication_interval = 0.0
    if settings.delivery.guarantee == "exactly_once":
        publication_interval = interval if target is None else min(interval, target / 4000)
    return Pace(
        max_in_flight_bytes=settings.limits.memory // 4,
        commit_interval=interval,
        publication_interval=publication_interval,
        backlog_interval=BACKLOG * interval if target is None else publication_interval,
        publish_within=settings.kafka.max_poll_interval / 2,
        hand_over_within=settings.kafka.hand_over_within,
    )


def _pulse(processor: StreamProcessor) -> Pulse:
    now, busy_since = monotonic_clock(), processor.busy_since
    if busy_since is not None and busy_since < processor.last_step:
        return Pulse(now - busy_since, now - processor.last_poll, "classify")
    return Pulse(now - processor.last_step, now - processor.last_poll, processor.stage)


def _waiting(processor: StreamProcessor) -> str | None:
    """A worker is ready once it has its partitions, or is known to have none for now: a standby is ready too."""
    began = processor.subscribed_at
    if processor.joined or (began is not None and monotonic_clock() - began > STANDBY_AFTER):
        return None
    return "the group has not assigned any partitions yet"
