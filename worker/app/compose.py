"""Puts the parts of a worker together: the same for Kafka, for files, and for tests."""

from concurrent.futures import Executor
from dataclasses import dataclass

from worker import __version__
from worker.domain.batches import BatchLimits
from worker.domain.latency import LatencyControl
from worker.domain.windows import TumblingWindows
from worker.ops.telemetry import Telemetry
from worker.ports import Decode, Model, MonotonicClock, RestoreTallies, Sink, Source, WallClock
from worker.stream.batcher import WindowBatcher
from worker.stream.loop_settings import LoopSettings
from worker.stream.model_calls import Lane
from worker.stream.pipeline import OutputTopics, Pipeline
from worker.stream.worker import StreamProcessor


@dataclass(frozen=True, slots=True)
class Ports:
    """What connects a worker with the world.

    Attributes:
        restore: reads back the accuracy published last.
    """

    source: Source
    sink: Sink
    restore: RestoreTallies


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The model, and what prepares its input.

    Attributes:
        top_k: how many classes a prediction names.
    """

    model: Model
    decode: Decode
    top_k: int


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads that work while the loop goes on.

    Attributes:
        decoders: decode frames; None leaves that to the threads of the model.
        inference: runs the model, as many calls at once as it has streams.
    """

    decoders: Executor | None
    inference: Executor


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two kinds of time."""

    wall: WallClock
    monotonic: MonotonicClock


def compose(
    ports: Ports,
    parts: ModelParts,
    threads: Threads,
    clocks: Clocks,
    *,
    topics: OutputTopics,
    settings: LoopSettings,
    telemetry: Telemetry,
) -> StreamProcessor:
    """Put the parts together. Nothing runs, connects or loads yet."""
    bounds = settings.bounds
    pipeline = Pipeline(
        decode=parts.decode, model=parts.model, top_k=parts.top_k, topics=topics, worker_version=__version__
    )
    return StreamProcessor(
        source=ports.source,
        sink=ports.sink,
        pipeline=pipeline,
        lane=Lane(
            pipeline,
            decoders=threads.decoders,
            inference=threads.inference,
            max_batch=bounds.max_frames,
            max_failed_share=settings.max_failed_share,
            monotonic=clocks.monotonic,
        ),
        batcher=WindowBatcher(
            TumblingWindows(settings.window),
            lateness=settings.lateness,
            limits=BatchLimits(bounds.linger, bounds.max_frames),
        ),
        control=LatencyControl(bounds),
        restore=ports.restore,
        telemetry=telemetry,
        settings=settings,
        wall=clocks.wall,
        monotonic=clocks.monotonic,
    )
