"""Measure candidates with the real worker on real frames, without Kafka."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from statistics import median
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from worker import wire
from worker.adapters.memory import Event
from worker.app.main_thread import MainThread
from worker.app.workers import memory_worker
from worker.domain.errors import FrameRejected, WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import Monotonic
from worker.models.build import build_model, calibrate, settle_threads
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest
from worker.models.preparation import frame_decoder
from worker.settings import ModelGroup, Topics, WindowGroup
from worker.settings.offline import Choice, Groups
from worker.stream.worker import Worker
from worker.tuning.agreement import Agreement, Answer, Answers, Bounds, compare, most_likely
from worker.tuning.frames import polls
from worker.tuning.search import Stage, Tried
from worker.tuning.suited import suited

ROUNDS: Final = 5
RECURRENT_RATE: Final = 25.0
MOST_LISTED: Final = 1000
"""Classes in a prediction, as of `model.top_k`."""
TOPICS: Final = Topics()

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Candidate:
    groups: Groups
    model: LoadedModel
    agreement: Agreement


class Trials:
    """Loads candidates, compares their answers with the reference's, and measures their speed.

    The reference is uncompiled torch on the CPU, in fp32, with exact preparation.

    Args:
        manifest: the model's manifest.
        groups: the user's settings; each candidate's settings override them.
        frames: the frames to measure with, each with its own frame id.
        bounds: what counts as agreement.
        calibration: other frames, for quantising the model.
        seconds: how long each candidate is measured, in all its rounds together.

    Raises:
        WorkerError: the reference cannot be loaded, or accepts none of the frames.
    """

    def __init__(
        self,
        manifest: Manifest,
        groups: Groups,
        frames: Sequence[CapturedFrame],
        *,
        calibration: Sequence[CapturedFrame],
        bounds: Bounds,
        seconds: float,
    ) -> None:
        self._manifest = manifest
        if manifest.task == "multi_label":
            # A class that is named here, and listed nowhere there, would differ by all of its probability.
            groups = groups.updated_by({"model.top_k": min(len(manifest.labels), MOST_LISTED)})
        self._groups = groups
        self._frames = frames
        self._bounds = bounds
        self._seconds = seconds
        self._untuned = suited(groups, manifest).chosen
        """What no choice means: the worker without a profile."""
        self._default_threads = torch.get_num_threads()
        self._agreements: dict[tuple[object, ...], Agreement] = {}
        reference = Groups(ModelGroup(path=manifest.file, top_k=groups.model.top_k), WindowGroup(), groups.limits)
        model = self._load(reference)
        self._reference = self._answers(reference, model)
        if not self._reference:
            raise WorkerError(f"none of the {len(frames)} frames can be decoded: give other frames with --frames")
        self._pixels = prepare_frames(reference, model, frames)
        self._calibration = prepare_frames(reference, model, calibration)
        self._calibrated = False

    @property
    def answered(self) -> int:
        """Number of predictions of the reference."""
        return len(self._reference)

    def race(self, stage: Stage, choices: Sequence[Choice]) -> Sequence[Tried]:
        """Measure candidates in turns, forwards and backwards, so that other load on the machine affects all alike."""
        prepared = [self._prepare(choice) for choice in choices]
        candidates = {number: each for number, each in enumerate(prepared) if isinstance(each, _Candidate)}
        rates: dict[int, list[float]] = {number: [] for number in candidates}
        spent = dict.fromkeys(candidates, 0.0)
        for round_number in range(ROUNDS):
            for number, candidate in list(candidates.items())[:: 1 if round_number % 2 == 0 else -1]:
                if spent[number] < self._seconds:  # a slow model's first round may take all of its time
                    began = time.monotonic()
                    rates[number].append(self._rate(candidate, stage))
                    spent[number] += time.monotonic() - began
        tried = []
        for number, (choice, found) in enumerate(zip(choices, prepared, strict=True)):
            if isinstance(found, _Candidate):
                why_not = self._bounds.why_not(found.agreement)
                # If the current settings do not run, there is nothing to be faster than.
                faster = all(rate > before for rate, before in zip(rates[number], rates.get(0, ()), strict=False))
                tried.append(Tried(stage.name, choice, median(rates[number]), found.agreement, why_not, faster))
            else:
                tried.append(Tried(stage.name, choice, why_not=found))
        return tried

    def _prepare(self, choice: Choice) -> _Candidate | str:
        """Load a candidate and compare it with the reference; a text says why it cannot run here."""
        try:
            groups = self._groups.updated_by(choice or self._untuned)
            model = self._load(groups)
            key = tuple(sorted((name, str(value)) for name, value in choice.items()))
            if key not in self._agreements:
                self._agreements[key] = compare(self._reference, self._answers(groups, model))
            return _Candidate(groups, model, self._agreements[key])
        except ValidationError as error:
            return "; ".join(each["msg"] for each in error.errors())
        except WorkerError as error:
            return str(error).partition("\n")[0]

    def _load(self, groups: Groups) -> LoadedModel:
        settle_threads(groups.model, usual=self._default_threads)
        if groups.model.precision == "int8" and not self._calibrated:
            calibrate(self._manifest, groups.model, self._calibration)
            self._calibrated = True
        model = build_model(self._manifest, groups.model)
        model.warm_up(groups.window.frames_or_usual)
        return model

    def _answers(self, groups: Groups, model: LoadedModel) -> Answers:
        """Run all frames once through the whole worker."""
        found: dict[str, Answer] = {}

        def write(record: OutboundRecord) -> None:
            if record.topic == TOPICS.predictions:
                message = wire.decode_message(record.value or b"")
                found[message.frame.id] = answer_of(message)

        settle_threads(groups.model, usual=self._default_threads)
        _run_worker(groups, model, self._polls(), write, Worker.run)
        return found

    def _rate(self, candidate: _Candidate, stage: Stage) -> float:
        seconds = self._seconds / ROUNDS
        if stage.model_alone:
            settle_threads(candidate.groups.model, usual=self._default_threads)
            call = call_size(candidate.model, candidate.groups.window.frames_or_usual)
            rate = model_rate(candidate.model, self._pixels, call, seconds)
            return rate * _answers_a_sample(self._manifest)
        return self._worker_rate(candidate, seconds)

    def _worker_rate(self, candidate: _Candidate, seconds: float) -> float:
        settle_threads(candidate.groups.model, usual=self._default_threads)
        return worker_rate(candidate.groups, candidate.model, self._polls(endless=True), seconds)

    def _polls(self, *, endless: bool = False) -> Iterable[Sequence[Record]]:
        return polls_for(self._manifest, self._frames, endless=endless)


def polls_for(manifest: Manifest, frames: Sequence[CapturedFrame], *, endless: bool) -> Iterable[Sequence[Record]]:
    """Return frames as polls of records, captured at such times that the model takes each of them."""
    clip, recurrence = manifest.clip, manifest.recurrence
    rate = clip.rate if clip else None
    if recurrence is not None:
        rate = (recurrence.rate or RECURRENT_RATE) / 2  # slower than it is sampled, so that each frame is taken
    return polls(frames, rate=rate, endless=endless)


def worker_rate(groups: Groups, model: LoadedModel, script: Iterable[Event], seconds: float) -> float:
    """Return the predictions per second of the whole worker without Kafka, from its first publication to its last.

    Args:
        groups: the settings.
        model: a model that is warmed up.
        script: polls without end.
        seconds: how long to measure; at least two publications are waited for.
    """
    published, marks = 0, list[tuple[int, float]]()

    def write(record: OutboundRecord) -> None:
        nonlocal published
        published += record.topic in (TOPICS.predictions, TOPICS.dead_letters)

    def measure(worker: Worker) -> None:
        worker.join()
        while len(marks) < 2 or marks[-1][1] - marks[0][1] < seconds:
            worker.step()
            if published > (marks[-1][0] if marks else 0):
                marks.append((published, time.monotonic()))

    _run_worker(groups, model, script, write, measure)
    (first, began), (last, ended) = marks[0], marks[-1]
    return (last - first) / (ended - began)


def _run_worker(
    groups: Groups,
    model: LoadedModel,
    script: Iterable[Event],
    write: Callable[[OutboundRecord], None],
    loop: Callable[[Worker], None],
) -> None:
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


def _answers_a_sample(manifest: Manifest) -> int:
    return (manifest.clip and manifest.clip.middle) or 1
