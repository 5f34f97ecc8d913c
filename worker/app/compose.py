"""Puts the parts of a worker together: the same for Kafka, for files, and for tests."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from worker import __version__
from worker.domain.latency import LatencyControl
from worker.domain.records import TopicPartition
from worker.domain.windows import TumblingWindows
from worker.ops.telemetry import Telemetry
from worker.ports import (
    Annotate,
    Clocks,
    Decode,
    LoadPolicy,
    Model,
    PartitionState,
    Prepare,
    Restore,
    Sampler,
    Sink,
    Source,
)
from worker.sampling.every_frame import EveryFrame
from worker.state.accuracy import RunningAccuracy
from worker.stream.batcher import WindowBatcher
from worker.stream.loop_settings import LoopSettings
from worker.stream.model_calls import ModelCalls
from worker.stream.partition import Partition
from worker.stream.pipeline import Pipeline
from worker.stream.publisher import Publisher
from worker.stream.render import OutputTopics, Renderer
from worker.stream.stages import Stages
from worker.stream.worker import Worker


@dataclass(frozen=True, slots=True)
class Ports:
    """What connects a worker with the world.

    Attributes:
        restore: reads back the accuracy and the hidden states published last.
    """

    source: Source
    sink: Sink
    restore: Restore


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The model, what prepares its input, and what is done with its results.

    Attributes:
        annotate: makes pictures of predictions; None if nobody wants any.
        make_hidden: makes what goes from frame to frame of a partition's cameras; None if the model is not recurrent.
    """

    model: Model
    decode: Decode
    annotate: Annotate | None = None
    make_hidden: Callable[[], PartitionState] | None = None


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads that work next to the loop.

    Attributes:
        decoders: decode frames; None leaves that to the threads of the model.
        inference: runs the model, as many calls at once as it has streams.
    """

    decoders: Executor | None
    inference: Executor


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames the model sees; by default each one, alone.

    Attributes:
        make_sampler: makes what turns the frames of a partition into samples.
        make_policy: makes what leaves samples of a partition out under too much load; None leaves out nothing.
    """

    make_sampler: Callable[[Prepare], Sampler] = lambda _: EveryFrame()
    make_policy: Callable[[], LoadPolicy] | None = None


EACH_FRAME_ALONE: Final = Sampling()


def compose(
    ports: Ports,
    parts: ModelParts,
    threads: Threads,
    clocks: Clocks,
    *,
    topics: OutputTopics,
    settings: LoopSettings,
    telemetry: Telemetry,
    sampling: Sampling = EACH_FRAME_ALONE,
) -> Worker:
    """Put the parts together. Nothing runs, connects or loads yet."""
    windows = TumblingWindows(settings.window)
    control, stages = LatencyControl(settings.bounds), Stages(telemetry, clocks.monotonic)
    calls = ModelCalls(
        Pipeline(decode=parts.decode, model=parts.model, annotate=parts.annotate),
        decoders=threads.decoders,
        inference=threads.inference,
        max_call=settings.bounds.max_frames,
        max_failed_share=settings.max_failed_share,
        monotonic=clocks.monotonic,
    )

    def make_partition(name: TopicPartition) -> Partition:
        batcher = WindowBatcher(windows, lateness=settings.lateness)
        return Partition(
            name,
            sampler=sampling.make_sampler(calls.prepare),
            policy=sampling.make_policy() if sampling.make_policy else None,
            windows=batcher,
            # Accuracy comes last, because only what has classes can be right.
            states=[*([parts.make_hidden()] if parts.make_hidden else []), RunningAccuracy()],
        )

    return Worker(
        source=ports.source,
        publisher=Publisher(
            source=ports.source,
            sink=ports.sink,
            renderer=Renderer(topics, worker_version=__version__),
            control=control,
            stages=stages,
            telemetry=telemetry,
            settings=settings,
            clocks=clocks,
        ),
        calls=calls,
        make_partition=make_partition,
        control=control,
        restore=ports.restore,
        stages=stages,
        telemetry=telemetry,
        settings=settings,
        clocks=clocks,
    )
