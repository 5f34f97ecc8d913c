"""What happens to the samples of a call: decode, classify, score. Values in, values out."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, join
from worker.domain.batches import Batch
from worker.domain.errors import FrameBreaksModel, FrameRejected, ModelFailed, ModelOutOfMemory
from worker.domain.frames import EncodedFrame, GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import DeadLetter, Outcome, Prediction, dead_letter
from worker.domain.samples import Sample, Shown, Skipped
from worker.domain.times import Monotonic
from worker.ports import Annotate, Asked, Decode, Model
from worker.stream.clip_input import DAMAGED, ShownClip, show_clip
from worker.stream.partition import Partition

_ONE_PLACE = (0,)


@dataclass(frozen=True, slots=True)
class BatchedSample:
    """A sample, the batch it came with, and its partition."""

    partition: Partition
    batch: Batch
    sample: Sample


class Prepared(NamedTuple):
    """A sample whose input is written.

    Attributes:
        geometry: how its newest picture became the input.
        places: of its answers, in the input; empty if the model is not asked.
        settled: what has become of frames already: they are damaged, or their clip lacks too many.
        before: seconds that decoding took before.
        clip: how the clip is shown, if it is one.
    """

    batched: BatchedSample
    geometry: Geometry | None
    places: Sequence[int]
    settled: Sequence[Outcome] = ()
    before: float = 0.0
    clip: ShownClip | None = None

    @property
    def length(self) -> int | None:
        """Frames of the clip that are shown; None for a model of single frames."""
        return self.clip.length if self.clip else None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the samples that were given to the model.

    Attributes:
        samples: those it answered for.
        outputs: its answers, in their order.
        rejected: what becomes of the frames of samples that break it.
        failed: how many samples break it.
        fitting: samples that may fit into a call, if there was no memory for all of them.
    """

    samples: Sequence[Prepared]
    outputs: Arrays
    rejected: Sequence[Outcome]
    failed: int
    fitting: int | None


class Pipeline:
    """The way of a call, stage by stage; the caller measures and publishes.

    Args:
        annotate: makes pictures of predictions; None if nobody wants any.
    """

    def __init__(self, *, decode: Decode, model: Model, annotate: Annotate | None = None) -> None:
        self._decode = decode
        self._model = model
        self._annotate = annotate

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels) of a frame that is ready for the model, or (frames, height, width, channels)."""
        return self._model.input_shape

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one prepared picture."""
        return self._model.frame_shape

    @property
    def streams(self) -> int:
        """Parts that the model runs at once."""
        return self._model.streams

    def parts(self, samples: int) -> Sequence[slice]:
        """Cut a call of n samples into the parts that a thread each decodes and classifies best."""
        return self._model.parts(samples)

    def decode(self, encoded: EncodedFrame, out: NDArray[np.uint8]) -> Geometry | FrameRejected:
        """Decode and prepare one frame; may be called from several threads at once.

        Args:
            encoded: the frame with its picture.
            out: where to, `frame_shape`, uint8.

        Returns:
            How the picture became the input, or why it could not; what was written is to be ignored then.
        """
        try:
            return self._decode(encoded, out)
        except FrameRejected as error:
            return error

    def prepare(self, batched: BatchedSample, out: NDArray[np.uint8]) -> Prepared:
        """Write the input of one sample; may be called from several threads at once.

        Args:
            batched: the sample.
            out: where to, `input_shape`, uint8: a slot of a batch.
        """
        sample = batched.sample
        if sample.clip is not None:
            return _prepared_clip(batched, show_clip(sample, sample.clip, out))
        encoded, before = sample.newest, 0.0
        if sample.pictures:
            pixels, found, before = sample.pictures[0].result()
            out[:] = pixels
        else:
            found = self.decode(encoded, out)
        if isinstance(found, FrameRejected):
            return Prepared(batched, None, (), [_rejected(encoded, "decode", found)], before)
        return Prepared(batched, found, _ONE_PLACE, (), before)

    def classify(self, samples: Sequence[Prepared], pixels: NDArray[np.uint8]) -> Answered:
        """Run the samples through the model, in one call if all goes well.

        A call that fails is halved until the frame that breaks the model is alone. It is given a second chance, since
        devices have bad moments, and then rejected. A call that runs out of memory is halved too, and no frame is
        blamed for it.

        Args:
            samples: those that the model is to be asked about.
            pixels: what `prepare` wrote for them, (samples, *input_shape).

        Raises:
            ModelOutOfMemory: not even one sample fits.
            ModelContractBroken: the model's output does not fit.
        """
        fitting: int | None = None
        answered, outputs, rejected, failed = list[Prepared](), list[Arrays](), list[Outcome](), 0
        calls = deque(_of_one_length(samples))
        alone: int | None = None
        while calls:
            call = calls.popleft()
            try:
                outputs.append(self._model.run(_cut(pixels[call.start : call.stop], samples[call.start].length)))
                answered += samples[call.start : call.stop]
            except ModelFailed as error:
                if len(call) > 1:
                    middle = len(call) // 2
                    calls.extendleft((call[middle:], call[:middle]))
                    if isinstance(error, ModelOutOfMemory):
                        fitting = min(fitting or middle, middle)
                elif isinstance(error, ModelOutOfMemory):
                    raise
                elif call.start != alone:
                    alone = call.start
                    calls.appendleft(call)
                else:
                    failed += 1
                    rejected += _blamed(samples[alone], error)
        return Answered(answered, join(outputs), rejected, failed, fitting)

    def score(
        self, answered: Answered, seconds: Mapping[str, float], *, gathered: Monotonic, took: float
    ) -> list[Outcome]:
        """Make the result of each frame, and compare it with the label.

        Args:
            answered: the samples and what the model answered.
            seconds: per stage, what the call that the samples shared has cost.
            gathered: processing time at which the batches left the window.
            took: seconds of the model's thread for all of them.
        """
        if not answered.samples:
            return []
        task, annotate, identity = self._model.task, self._annotate, self._model.identity
        asked = [Asked(each.geometry, each.places) for each in answered.samples if each.geometry]
        scored = list[Outcome]()
        for each, results in zip(answered.samples, task.results(answered.outputs, asked), strict=True):
            batch, clip = each.batched.batch, each.clip
            window, span = batch.window, clip.span if clip else None
            if clip is not None:
                scored += [Shown(covered.frame) for covered in clip.covers]
            for answer, result in zip(clip.answers if clip else each.batched.sample.answers, results, strict=True):
                frame = answer.frame
                label = clip.label if clip and span else frame.label
                prediction = Prediction(
                    frame=frame,
                    window=window if clip is None else window.of_same_size(frame.captured_at),
                    model=identity,
                    result=result,
                    label=label,
                    verdict=task.judge(result, GroundTruth(label, frame.boxes)),
                    late=batch.late,
                    closed_by=batch.closed_by,
                    seconds={"gather": gathered - frame.arrived, **seconds},
                    took=took,
                    clip=span,
                )
                if annotate is not None:
                    prediction = replace(prediction, annotated=annotate(prediction, answer))
                scored.append(prediction)
        return scored


def _prepared_clip(batched: BatchedSample, clip: ShownClip) -> Prepared:
    letters = [_rejected(encoded, "decode", error) for encoded, error in clip.damaged]
    skipped = [Skipped(each.frame, DAMAGED) for each in clip.skipped]
    shown = [] if clip.places else [Shown(each.frame) for each in clip.covers]  # an earlier worker has asked the model
    return Prepared(batched, clip.geometry, clip.places, [*letters, *skipped, *shown], clip.before, clip)


def _of_one_length(samples: Sequence[Prepared]) -> Iterator[range]:
    """Cut samples into runs of clips with equally many frames, which a model takes together."""
    for _, run in groupby(range(len(samples)), key=lambda number: samples[number].length):
        numbers = list(run)
        yield range(numbers[0], numbers[-1] + 1)


def _cut(pixels: NDArray[np.uint8], length: int | None) -> NDArray[np.uint8]:
    return pixels if length is None or length == pixels.shape[1] else np.ascontiguousarray(pixels[:, :length])


def _blamed(prepared: Prepared, cause: ModelFailed) -> list[Outcome]:
    what, clip = ("clip", prepared.clip) if prepared.clip else ("frame", None)
    error = FrameBreaksModel(f"the model raises on this {what}, also alone and a second time: {cause}")
    error.__cause__ = cause
    answers = clip.answers if clip else prepared.batched.sample.answers
    letters = [_rejected(answer, "classify", error) for answer in answers]
    return [*letters, *(Shown(each.frame) for each in (clip.covers if clip else ()))]


def _rejected(encoded: EncodedFrame, stage: str, error: FrameRejected) -> DeadLetter:
    frame = encoded.frame
    return dead_letter(
        encoded.record,
        stage=stage,
        error=error,
        arrived_at=frame.arrived_at,
        camera=frame.camera,
        captured_at=frame.captured_at,
    )
