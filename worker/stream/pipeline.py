"""What happens to one batch: decode, classify, score, render. Values in, values out."""

import traceback
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker import wire
from worker.domain.batches import FrameBatch
from worker.domain.errors import FrameBreaksModel, FrameRejected, ModelFailed, ModelOutOfMemory
from worker.domain.frames import EncodedFrame
from worker.domain.ranking import Ranked, join
from worker.domain.records import OutboundRecord, Record
from worker.domain.results import DeadLetter, Outcome, Prediction
from worker.domain.tallies import Tally
from worker.domain.times import EventMillis, Monotonic
from worker.ports import Decode, Model
from worker.tasks.classes import ClassNames


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where each kind of message goes."""

    predictions: str
    accuracy: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class BatchedFrame:
    """A frame, and the batch it came with."""

    frame: EncodedFrame
    batch: FrameBatch


def reject(record: Record, *, stage: str, error: FrameRejected, arrived_at: EventMillis, camera: str) -> DeadLetter:
    """Make the dead letter of a frame that `stage` refused."""
    return DeadLetter(
        record=record,
        reason=error.reason,
        stage=stage,
        error=type(error).__name__,
        text=str(error),
        stack="".join(traceback.format_exception(error)),
        camera=camera,
        arrived_at=arrived_at,
    )


@dataclass(frozen=True, slots=True)
class Classified:
    """What became of the frames that were handed to the model.

    Attributes:
        frames: those it answered for.
        ranked: its answers, in their order.
        rejected: the frames that break it.
        fits: frames that may fit into a call, if there was no memory for all of them.
    """

    frames: Sequence[BatchedFrame]
    ranked: Ranked
    rejected: Sequence[DeadLetter]
    fits: int | None


def _blame(frame: EncodedFrame, cause: ModelFailed) -> DeadLetter:
    error = FrameBreaksModel(f"the model raises on this frame, also alone and a second time: {cause}")
    error.__cause__ = cause
    return reject(frame.record, stage="classify", error=error, arrived_at=frame.arrived_at, camera=frame.camera)


class Pipeline:
    """The way of a batch, stage by stage; the caller measures and delivers.

    Args:
        top_k: how many classes a prediction names.
    """

    def __init__(self, *, decode: Decode, model: Model, top_k: int, topics: OutputTopics, worker_version: str) -> None:
        self._decode = decode
        self._model = model
        self._names = ClassNames(model.labels)
        self._top_k = top_k
        self._topics = topics
        self._worker_version = worker_version

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of a frame that is ready for the model."""
        return self._model.input_shape

    @property
    def streams(self) -> int:
        """Parts that the model takes side by side."""
        return self._model.streams

    def parts(self, frames: int) -> Sequence[slice]:
        """Cut so many frames into what is best decoded and classified by a thread each."""
        return self._model.parts(frames)

    def decode(self, frame: EncodedFrame, out: NDArray[np.uint8]) -> DeadLetter | None:
        """Decode and prepare one frame; may be called from several threads at once.

        Args:
            frame: still encoded.
            out: where to, RGB, `input_shape`, uint8: a slot of a batch.

        Returns:
            What becomes of a bad frame; its slot is of no use then.
        """
        try:
            self._decode(frame, out)
        except FrameRejected as error:
            return reject(frame.record, stage="decode", error=error, arrived_at=frame.arrived_at, camera=frame.camera)
        return None

    def classify(self, frames: Sequence[BatchedFrame], pixels: NDArray[np.uint8]) -> Classified:
        """Run the frames through the model, in one call if all goes well.

        A call that fails is halved until the frame that breaks the model is alone. It is given a second chance, since
        devices have bad moments, and then rejected. A call that runs out of memory is halved too, and no frame is
        blamed for it.

        Args:
            frames: whose pictures were good.
            pixels: what `decode` wrote for them, (frames, height, width, 3).

        Raises:
            ModelOutOfMemory: not even one frame fits.
            ModelContractBroken: the model's output does not fit.
        """
        fits: int | None = None
        answered, ranked, rejected = list[BatchedFrame](), list[Ranked](), list[DeadLetter]()
        calls = deque([range(len(frames))] if frames else ())
        alone: int | None = None
        while calls:
            call = calls.popleft()
            try:
                ranked.append(self._model.classify(pixels[call.start : call.stop]))
                answered += frames[call.start : call.stop]
            except ModelFailed as error:
                if len(call) > 1:
                    middle = len(call) // 2
                    calls.extendleft((call[middle:], call[:middle]))
                    if isinstance(error, ModelOutOfMemory):
                        fits = min(fits or middle, middle)
                elif isinstance(error, ModelOutOfMemory):
                    raise
                elif call.start != alone:
                    alone = call.start
                    calls.appendleft(call)
                else:
                    rejected.append(_blame(frames[alone].frame, error))
        return Classified(answered, join(ranked), rejected, fits)

    def score(
        self, classified: Classified, seconds: Mapping[str, float], *, gathered: Monotonic, took: float
    ) -> list[Prediction]:
        """Name the most likely classes of each frame and hold them against its label.

        Args:
            classified: the frames and their classes.
            seconds: per stage, what the call that the frames shared has cost.
            gathered: processing time at which the batches left the window.
            took: seconds of the model's thread for all of them.
        """
        ranked = classified.ranked
        return [
            Prediction(
                frame=each.frame,
                window=each.batch.window,
                model=self._model.identity,
                classes=self._names.scored(indices[: self._top_k], probabilities[: self._top_k]),
                verdict=self._names.judge(each.frame.label, indices),
                late=each.batch.late,
                closed_by=each.batch.closed_by,
                seconds={"gather": gathered - each.frame.arrived, **seconds},
                took=took,
            )
            for each, indices, probabilities in zip(
                classified.frames, ranked.indices.tolist(), ranked.probabilities.tolist(), strict=True
            )
        ]

    def render(
        self, outcomes: Iterable[Outcome], tallies: Iterable[Tally], *, published_at: EventMillis
    ) -> list[OutboundRecord]:
        """Write predictions, dead letters and accuracy as they go out."""
        records = [
            wire.render_prediction(self._topics.predictions, outcome, published_at=published_at)
            if isinstance(outcome, Prediction)
            else wire.render_dead_letter(self._topics.dead_letters, outcome, worker_version=self._worker_version)
            for outcome in outcomes
        ]
        records += [wire.render_accuracy(self._topics.accuracy, t, published_at=published_at) for t in tallies]
        return records
