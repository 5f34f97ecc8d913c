"""What happens to the samples of a call: decode, classify, score. Values in, values out."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, join
from worker.domain.batches import Batch
from worker.domain.errors import FrameBreaksModel, FrameRejected, ModelFailed, ModelOutOfMemory
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.results import DeadLetter, Prediction, dead_letter
from worker.domain.samples import Sample
from worker.domain.times import Monotonic
from worker.ports import Asked, Decode, Model
from worker.stream.partition import Partition

_ONE_PLACE = (0,)


@dataclass(frozen=True, slots=True)
class BatchedSample:
    """A sample, the batch it came with, and its partition."""

    partition: Partition
    batch: Batch
    sample: Sample


class Prepared(NamedTuple):
    """A sample whose picture is decoded, and how it became the model's input."""

    batched: BatchedSample
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the samples that were given to the model.

    Attributes:
        samples: those it answered for, each with how its picture became the model's input.
        outputs: its answers, in their order.
        rejected: the frames that break it.
        fitting: samples that may fit into a call, if there was no memory for all of them.
    """

    samples: Sequence[Prepared]
    outputs: Arrays
    rejected: Sequence[DeadLetter]
    fitting: int | None


class Pipeline:
    """The way of a call, stage by stage; the caller measures and publishes."""

    def __init__(self, *, decode: Decode, model: Model) -> None:
        self._decode = decode
        self._model = model

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of a frame that is ready for the model."""
        return self._model.input_shape

    @property
    def streams(self) -> int:
        """Parts that the model runs at once."""
        return self._model.streams

    def parts(self, samples: int) -> Sequence[slice]:
        """Cut a call of n samples into the parts that a thread each decodes and classifies best."""
        return self._model.parts(samples)

    def decode(self, encoded: EncodedFrame, out: NDArray[np.uint8]) -> Geometry | DeadLetter:
        """Decode and prepare one frame; may be called from several threads at once.

        Args:
            encoded: the frame with its picture.
            out: where to, RGB, `input_shape`, uint8: a slot of a batch.

        Returns:
            How the picture became the input, or the dead letter of a bad frame; its slot is to be ignored then.
        """
        try:
            return self._decode(encoded, out)
        except FrameRejected as error:
            return _rejected(encoded, "decode", error)

    def classify(self, samples: Sequence[Prepared], pixels: NDArray[np.uint8]) -> Answered:
        """Run the samples through the model, in one call if all goes well.

        A call that fails is halved until the frame that breaks the model is alone. It is given a second chance, since
        devices have bad moments, and then rejected. A call that runs out of memory is halved too, and no frame is
        blamed for it.

        Args:
            samples: whose pictures were good.
            pixels: what `decode` wrote for them, (samples, height, width, 3).

        Raises:
            ModelOutOfMemory: not even one sample fits.
            ModelContractBroken: the model's output does not fit.
        """
        fitting: int | None = None
        answered, outputs, rejected = list[Prepared](), list[Arrays](), list[DeadLetter]()
        calls = deque([range(len(samples))] if samples else ())
        alone: int | None = None
        while calls:
            call = calls.popleft()
            try:
                outputs.append(self._model.run(pixels[call.start : call.stop]))
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
                    rejected += _blamed(samples[alone].batched.sample, error)
        return Answered(answered, join(outputs), rejected, fitting)

    def score(
        self, answered: Answered, seconds: Mapping[str, float], *, gathered: Monotonic, took: float
    ) -> list[Prediction]:
        """Make the result of each frame, and compare it with the frame's label.

        Args:
            answered: the samples and what the model answered.
            seconds: per stage, what the call that the samples shared has cost.
            gathered: processing time at which the batches left the window.
            took: seconds of the model's thread for all of them.
        """
        if not answered.samples:
            return []
        task, identity = self._model.task, self._model.identity
        asked = [Asked(each.geometry, _ONE_PLACE) for each in answered.samples]
        return [
            Prediction(
                frame=answer.frame,
                window=each.batched.batch.window,
                model=identity,
                result=result,
                label=answer.frame.label,
                verdict=task.judge(result, answer.frame.label),
                late=each.batched.batch.late,
                closed_by=each.batched.batch.closed_by,
                seconds={"gather": gathered - answer.frame.arrived, **seconds},
                took=took,
            )
            for each, results in zip(answered.samples, task.results(answered.outputs, asked), strict=True)
            for answer, result in zip(each.batched.sample.answers, results, strict=True)
        ]


def _blamed(sample: Sample, cause: ModelFailed) -> list[DeadLetter]:
    error = FrameBreaksModel(f"the model raises on this frame, also alone and a second time: {cause}")
    error.__cause__ = cause
    return [_rejected(answer, "classify", error) for answer in sample.answers]


def _rejected(encoded: EncodedFrame, stage: str, error: FrameRejected) -> DeadLetter:
    frame = encoded.frame
    return dead_letter(encoded.record, stage=stage, error=error, arrived_at=frame.arrived_at, camera=frame.camera)
