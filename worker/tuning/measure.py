"""Measure candidates with the real worker on real frames, without Kafka."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker import wire
from worker.adapters.memory import Event
from worker.app.main_thread import MainThread
from worker.app.workers import memory_worker
from worker.domain.clips import ClipShape
from worker.domain.errors import FrameRejected
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import Monotonic
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest
from worker.models.preparation import frame_decoder
from worker.settings import Topics
from worker.settings.offline import Groups
from worker.stream.worker import Worker
from worker.tuning.agreement import Answer, most_likely
from worker.tuning.frames import polls

USUAL_RATE: Final = 25.0
TOPICS: Final = Topics()

Pixels = NDArray[np.uint8]


def polls_for(manifest: Manifest, frames: Sequence[CapturedFrame], *, endless: bool) -> Iterable[Sequence[Record]]:
    """Return frames as polls of records, captured at such times that the model takes each of them."""
    sees_time = manifest.clip is not None or manifest.recurrence is not None
    return polls(frames, rate=capture_rate(manifest) if sees_time else None, endless=endless)


def capture_rate(manifest: Manifest) -> float:
    """Return at how many frames per second a camera captures them so that the model takes each."""
    if manifest.clip is not None:
        return manifest.clip.rate
    rate = manifest.recurrence.rate if manifest.recurrence else None
    return (rate or USUAL_RATE) / 2  # slower than it is sampled


def frames_a_result(clip: ClipShape | None) -> int:
    """Return for how many frames there is one prediction: a model of clips has one for each clip, or for each frame."""
    return 1 if clip is None or clip.middle else clip.frames


def worker_rate(groups: Groups, model: LoadedModel, script: Iterable[Sequence[Record]], seconds: float) -> float:
    """Return the predictions per second of the whole worker without Kafka, from one publication to another.

    What the worker has read by its first publication is left out: its queues are filling until then.

    Args:
        groups: the settings.
        model: a model that is warmed up.
        script: polls without end.
        seconds: how long to measure; at least two publications are waited for.
    """
    read = published = filled = 0
    marks = list[tuple[int, float]]()

    def counted() -> Iterator[Sequence[Record]]:
        nonlocal read
        for poll in script:
            read += len(poll)
            yield poll

    def write(record: OutboundRecord) -> None:
        nonlocal published
        published += record.topic in (TOPICS.predictions, TOPICS.dead_letters)

    def measure(worker: Worker) -> None:
        nonlocal filled
        worker.join()
        while len(marks) < 2 or marks[-1][1] - marks[0][1] < seconds:
            worker.step()
            filled = filled or (read // frames_a_result(model.clip) if published else 0)
            if filled <= published and published > (marks[-1][0] if marks else 0):
                marks.append((published, time.monotonic()))

    run_worker(groups, model, counted(), write, measure)
    (first, began), (last, ended) = marks[0], marks[-1]
    return (last - first) / (ended - began)


def run_worker(
    groups: Groups,
    model: LoadedModel,
    script: Iterable[Event],
    write: Callable[[OutboundRecord], None],
    loop: Callable[[Worker], None],
) -> None:
    """Run the whole worker without Kafka, with the model in this thread.

    Args:
        groups: the settings.
        model: a model that is warmed up.
        script: what it polls.
        write: takes each record that is published.
        loop: drives the worker, in a thread of its own.
    """
    inference = MainThread(model.streams)
    with memory_worker(script, write, inference, loaded=model, groups=groups) as worker:
        inference.serve(partial(loop, worker))


def call_size(model: LoadedModel, largest_batch: int) -> int:
    """Return with how many samples in a call a model is measured alone.

    A batch of clips may take minutes. A part for each stream is as fast, and clips are never cut.
    """
    if model.clip is None:
        return largest_batch
    parts: Sequence[slice] = model.parts(largest_batch)[: model.streams]
    return sum(part.stop - part.start for part in parts)


def model_rate(model: LoadedModel, pixels: Pixels, call: int, seconds: float) -> float:
    """Return the samples per second of a model alone: pictures, or clips.

    Args:
        model: a model that is warmed up.
        pixels: prepared samples, (samples, *input_shape), used again and again.
        call: samples per call.
        seconds: how long to measure; at least one call is measured.
    """
    calls = [pixels[np.arange(first, first + call) % len(pixels)] for first in range(0, len(pixels), call)]
    threads = MainThread(model.streams)

    def measure() -> float:
        count, began = 0, time.monotonic()
        while count == 0 or time.monotonic() - began < seconds:
            model.run_by(threads, calls[count % len(calls)])
            count += 1
        return count * call / (time.monotonic() - began)

    return threads.serve(measure)


def prepare_frames(groups: Groups, model: LoadedModel, frames: Sequence[CapturedFrame]) -> Pixels:
    """Return the accepted frames as the model's input, (samples, *input_shape).

    Clips follow each other. If the frames are too few for one, it begins again with the first.
    """
    decode = frame_decoder(model.preprocessing, groups.model, groups.limits)
    slots = []
    for record in chain.from_iterable(polls(frames)):
        slot = np.empty(model.frame_shape, np.uint8)
        with suppress(FrameRejected):
            decode(wire.parse_frame(record, arrived_at=record.timestamp, arrived=Monotonic(0.0)), slot)
            slots.append(slot)
    pictures = np.array(slots, np.uint8).reshape(-1, *model.frame_shape)
    if model.clip is None or not slots:
        return pictures.reshape(-1, *model.input_shape)
    places = max(1, len(pictures) // model.clip.frames) * model.clip.frames
    return pictures[np.arange(places) % len(pictures)].reshape(-1, *model.input_shape)


def answer_of(message: wire.Message) -> Answer:
    """Return what a prediction says, as far as numbers from 0 to 1 can say it.

    Of a frame's value, whether there is the event. Of boxes, the highest score of each class; without any, the
    background's is 1. Of areas, their shares. Of a vector, its numbers, as if its length were 1.
    """
    match message:
        case wire.FrameValueMessage():
            by_index = {0: 1 - message.value, 1: message.value}
            return most_likely(by_index if message.value < message.threshold else dict(reversed(by_index.items())))
        case wire.MultiLabelMessage(classes=classes, named=named):
            said = {each.index for each in classes if each.name in named}
            return Answer(said, {each.index: each.probability for each in classes})
        case wire.DetectionMessage():
            first = {each.index: each.score for each in reversed(message.boxes)}
            return most_likely(dict(sorted(first.items(), key=lambda pair: -pair[1])) or {0: 1.0})
        case wire.SegmentationMessage():
            return most_likely({each.index: each.share for each in message.shares})
        case wire.EmbeddingMessage(vector=vector):
            length = math.hypot(*vector) or 1.0
            return most_likely({number: each / length for number, each in enumerate(vector)})
    return most_likely({each.index: each.probability for each in message.classes})


def answers_a_sample(manifest: Manifest) -> int:
    """Return how many predictions a sample of the model gives: a clip may give values to several frames."""
    return (manifest.clip and manifest.clip.middle) or 1
