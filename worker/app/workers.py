"""Settings in, a worker out: on Kafka, or over records that are already here. Only here are adapters constructed."""

import gc
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from worker.adapters.clocks import monotonic_clock, wall_clock
from worker.adapters.memory import Event, MemorySink, MemorySource
from worker.app.annotator import Annotator
from worker.app.cluster import group_member, group_protocol, published_states, published_tallies, results_sink
from worker.app.compose import ModelParts, Ports, Threads, compose
from worker.app.health import Health
from worker.app.main_thread import MainThread
from worker.app.pages import pages
from worker.app.recurrent import check_topics, hidden_states_for
from worker.app.sampling import sampling_for
from worker.app.thread_names import name_this_thread
from worker.app.watching import status_of, tell_port, tell_ready, watched
from worker.domain.clips import ClipShape
from worker.domain.latency import Bounds
from worker.domain.records import OutboundRecord, Stopping, TopicPartition
from worker.media.images import limit_opencv_threads
from worker.models.build import load_model
from worker.models.container import cores
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder, picture_rules
from worker.ops.telemetry import Telemetry
from worker.ports import Clocks, Saved
from worker.settings import Limits, ModelGroup, Settings, Topics, WindowGroup
from worker.settings.offline import Groups
from worker.stream.loop_settings import BACKLOG, LoopSettings
from worker.stream.render import OutputTopics
from worker.stream.worker import Worker

DEFAULT_TOPICS = Topics()
CLOCKS = Clocks(wall_clock, monotonic_clock)


@contextmanager
def threads_for(model: ModelGroup, limits: Limits, inference: Executor) -> Iterator[Threads]:
    """Start the threads that decode, if any; they end with the block, and what nobody waits for is cancelled."""
    full = model.device == "cpu" and model.streams_or_one >= cores()  # more threads would only wait for a core
    decoders = None
    if limits.decode_threads is not None or not full:
        count = limits.decode_threads or cores()
        decoders = ThreadPoolExecutor(count, "decode", initializer=name_this_thread, initargs=("decode",))
    try:
        yield Threads(decoders, inference)
    finally:
        if decoders is not None:
            decoders.shutdown(cancel_futures=True)


@contextmanager
def kafka_worker(settings: Settings, inference: MainThread, *, same_kafka: str = "") -> Iterator[Worker]:
    """Build a worker on Kafka, with its model warm and its pages served; on the way out it leaves the group.

    Args:
        settings: all of them.
        inference: runs the model, as many calls at once as it has streams; serves nothing yet.
        same_kafka: arguments with which other commands use the same Kafka, for the commands that the log names.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
        SettingsError: the port of the pages is taken, or the settings of sampling or topics do not fit the model.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    telemetry = Telemetry(registry, max_cameras=settings.limits.max_cameras)
    health = Health(settings.ops, group=settings.kafka.group_id, clock=monotonic_clock)
    # Before the model is loaded: a port that is taken is told at once.
    with pages(settings.ops, registry, unhealthy=health.unhealthy, unready=health.unready) as served:
        tell_port(settings.ops, served.port)
        model = _warm_model(settings, telemetry, inference)
        sampling = sampling_for(model, settings.model, settings.sampling, settings.window, live=True)
        limits, target = settings.limits, settings.window.latency_target_ms
        protocol = group_protocol(settings.kafka)
        log = structlog.get_logger("worker")
        log.info("group protocol", protocol=protocol, asked_for=settings.kafka.group_protocol)
        source = group_member(settings.kafka, settings.topics, limits, protocol=protocol, latency_target_ms=target)
        sink = results_sink(settings.kafka, settings.delivery, source)
        with threads_for(settings.model, limits, inference) as threads:
            limit_opencv_threads(1)  # a frame is too small to share, and the model's threads need the cores
            worker = compose(
                Ports(source, sink, partial(_saved_before, settings, model)),
                ModelParts(
                    model,
                    frame_decoder(model.preprocessing, settings.model, limits, flawed=telemetry.flawed),
                    annotator(settings, telemetry) if settings.topics.annotated else None,
                    hidden_states_for(model, settings.sampling, limits),
                ),
                threads,
                CLOCKS,
                topics=output_topics(settings.topics),
                settings=loop_settings(settings, model.clip),
                telemetry=telemetry,
                sampling=sampling,
            )
            _freeze_what_stays()
            status = status_of(settings, telemetry, health, same_kafka=same_kafka)
            with ExitStack() as undo:  # the last one first
                undo.callback(lambda: status.sum_up(monotonic_clock()))
                undo.callback(source.close)
                undo.callback(sink.close)
                undo.enter_context(watched(worker, settings, telemetry, health, status))
                tell_ready(settings, model, served.url, same_kafka=same_kafka)
                yield worker


def _warm_model(settings: Settings, telemetry: Telemetry, inference: MainThread) -> LoadedModel:
    """Load the model that fits the topics, and let it answer in calls of every size, in each of its threads."""
    model, group = load_model(settings.model), settings.model
    check_topics(model, settings.topics)
    began = monotonic_clock()
    model.fill_memory(_samples(settings.window, model.clip), inference.in_each)
    telemetry.model_ready(
        model.identity, group.device, group.engine_or_eager, warm_up_seconds=monotonic_clock() - began
    )
    return model


@contextmanager
def memory_worker(
    script: Iterable[Event],
    write: Callable[[OutboundRecord], None],
    inference: Executor,
    *,
    loaded: LoadedModel,
    groups: Groups,
    topics: Topics = DEFAULT_TOPICS,
    linger: float = math.inf,
) -> Iterator[Worker]:
    """Build the same worker over records that are here or are made as they are read; what it publishes goes to `write`.

    Args:
        script: the records, and what else happens.
        write: takes each record that is published, in the thread that runs the worker.
        inference: runs the model, as many calls at once as it has streams.
        loaded: the model that the settings name.
        groups: the settings.
        topics: names of the topics; those that are unset get nothing.
        linger: seconds for which a batch waits for more frames; without end, batches depend on the frames alone.

    Raises:
        ModelUnavailable: frames cannot be prepared as the settings of the model say.
        SettingsError: the settings of sampling do not fit the model.
    """
    model, limits = groups.model, groups.limits
    samples = sampling_for(loaded, model, groups.sampling, groups.window, live=False)
    with threads_for(model, limits, inference) as threads:
        limit_opencv_threads(1)  # as on Kafka
        yield compose(
            Ports(MemorySource(script), MemorySink(write), lambda *_: ()),
            ModelParts(
                loaded,
                frame_decoder(loaded.preprocessing, model, limits),
                make_hidden=hidden_states_for(loaded, groups.sampling, limits),
            ),
            threads,
            CLOCKS,
            topics=output_topics(topics),
            settings=unhurried(groups.window, limits, loaded.clip, linger=linger),
            telemetry=Telemetry(CollectorRegistry(), max_cameras=limits.max_cameras),
            sampling=samples,
        )


def output_topics(topics: Topics) -> OutputTopics:
    """Return where each kind of message goes."""
    return OutputTopics(
        topics.predictions, topics.accuracy, topics.dead_letters, topics.skipped, topics.annotated, topics.state
    )


def _saved_before(
    settings: Settings, model: LoadedModel, partitions: Collection[TopicPartition], stopping: Stopping
) -> Iterable[Saved]:
    """Read back what was saved of input partitions; hidden states only for a model that has some."""
    tallies = published_tallies(settings.kafka, settings.topics.accuracy, partitions, stopping)
    if model.recurrent is None or settings.topics.state is None:
        return tallies
    return chain(tallies, published_states(settings.kafka, settings.topics.state, partitions, stopping))


def annotator(settings: Settings, telemetry: Telemetry) -> Annotator:
    """Return what draws predictions on pictures."""
    rules = picture_rules(settings.limits, settings.model)
    return Annotator(settings.sampling.annotate_every_ms, rules, failed=telemetry.not_drawn)


def loop_settings(settings: Settings, clip: ClipShape | None = None) -> LoopSettings:
    """Return what the loop on Kafka keeps to, for a model that sees single frames or clips.

    Exactly once, results are seen once they are committed, and a latency target leaves room for that.
    """
    interval, target = settings.delivery.commit_interval_ms / 1000, settings.window.latency_target_ms
    sampling, max_poll_interval = settings.sampling, settings.kafka.max_poll_interval
    max_age = sampling.max_age_ms / 1000 if sampling.on_lag == "skip_older_than" else None
    publication_interval = 0.0
    if settings.delivery.guarantee == "exactly_once":
        publication_interval = min(interval, (target or math.inf) / 4000, (max_age or math.inf) / 4)
    return LoopSettings(
        window=settings.window.size_ms,
        lateness=settings.window.lateness_ms,
        bounds=Bounds(
            target=None if target is None else target / 1000,
            linger=settings.window.linger_ms / 1000,
            max_frames=_samples(settings.window, clip),
            # Results that are too old for anybody are as bad as a lost partition: calls stay as short.
            max_poll_interval=min(max_poll_interval, max_age or max_poll_interval),
        ),
        max_failed_share=settings.limits.max_failed_share,
        max_in_flight_bytes=settings.limits.memory // 4,
        commit_interval=interval,
        publication_interval=publication_interval,
        backlog_interval=BACKLOG * interval if target is None and max_age is None else publication_interval,
        publish_within=max_poll_interval / 2,
        hand_over_within=settings.kafka.hand_over_within,
        sheds_load=sampling.on_lag != "process_all",
        awaits_silence=clip is not None,
    )


def unhurried(
    window: WindowGroup, limits: Limits, clip: ClipShape | None = None, *, linger: float = math.inf
) -> LoopSettings:
    """Return what a loop over files keeps to: nothing waits for time but what lingers, by default without end."""
    return LoopSettings(
        window=window.size_ms,
        lateness=window.lateness_ms,
        bounds=Bounds(target=None, linger=linger, max_frames=_samples(window, clip), max_poll_interval=math.inf),
        max_failed_share=limits.max_failed_share,
        max_in_flight_bytes=limits.memory // 4,
        commit_interval=math.inf,
        publication_interval=0.0,
        backlog_interval=0.0,
        publish_within=math.inf,
        hand_over_within=math.inf,
    )


def _samples(window: WindowGroup, clip: ClipShape | None) -> int:
    """Return how many samples a batch has at most: a clip counts as all of its frames."""
    return max(1, window.frames_or_usual // clip.frames) if clip else window.frames_or_usual


def _freeze_what_stays() -> None:
    """Keep Python's garbage collector from what lives as long as the worker does.

    Libraries and model are some 400,000 objects. To look through them takes a third of a second in which no thread runs
    Python: a frame that comes then waits for as long.
    """
    gc.collect()
    gc.freeze()
