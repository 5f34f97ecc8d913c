"""Predictions out (schemas/prediction.v1.json)."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from worker.domain.records import OutboundRecord
from worker.domain.results import Classification, Prediction, Result
from worker.domain.times import EventMillis
from worker.wire.frame import CONTENT_TYPE, TRACEPARENT

_JSON = msgspec.json.Encoder()


class ModelField(msgspec.Struct):
    """The model's identity, as every message writes it."""

    name: str
    version: str


class FrameField(msgspec.Struct, kw_only=True):
    """Which frame: who took it, and where it lies in Kafka."""

    camera: str
    id: str
    topic: str
    partition: int
    offset: int


class WindowField(msgspec.Struct, kw_only=True):
    """The window the frame was batched in, and what closed the batch."""

    start_ms: int
    end_ms: int
    closed_by: str
    late: bool


class ClassField(msgspec.Struct):
    """One class and its probability."""

    index: int
    name: str
    probability: float


class CorrectField(msgspec.Struct):
    """Whether the most likely class, or one of the five most likely, is the label."""

    top1: bool
    top5: bool


class PredictionMessage(msgspec.Struct, kw_only=True):
    """A prediction as consumers read it."""

    version: int = 1
    frame: FrameField
    captured_at_ms: int
    arrived_at_ms: int
    published_at_ms: int
    window: WindowField
    model: ModelField
    classes: list[ClassField]
    label: str | None
    correct: CorrectField | None
    seconds: dict[str, float]


def render_prediction(topic: str, prediction: Prediction, *, published_at: EventMillis) -> OutboundRecord:
    """Write a prediction, to the same partition number as its frame's."""
    frame = prediction.frame
    message = _MESSAGES[type(prediction.result)](prediction, published_at)
    headers: list[tuple[str, bytes | None]] = [(CONTENT_TYPE, b"application/json")]
    if frame.traceparent:
        headers.append((TRACEPARENT, frame.traceparent.encode()))
    number = frame.position.partition.partition
    return OutboundRecord(topic, number, frame.camera.encode(), _JSON.encode(message), tuple(headers))


def _classification(prediction: Prediction, published_at: EventMillis) -> PredictionMessage:
    frame, window, verdict = prediction.frame, prediction.window, prediction.verdict
    partition = frame.position.partition
    return PredictionMessage(
        frame=FrameField(
            camera=frame.camera,
            id=frame.frame_id,
            topic=partition.topic,
            partition=partition.partition,
            offset=frame.position.offset,
        ),
        captured_at_ms=frame.captured_at,
        arrived_at_ms=frame.arrived_at,
        published_at_ms=published_at,
        window=WindowField(
            start_ms=window.start, end_ms=window.end, closed_by=prediction.closed_by, late=prediction.late
        ),
        model=ModelField(prediction.model.name, prediction.model.version),
        classes=[ClassField(each.index, each.name, each.probability) for each in prediction.result.classes],
        label=frame.label,
        correct=CorrectField(verdict.top1, verdict.top5) if verdict else None,
        seconds={stage: round(seconds, 6) for stage, seconds in prediction.seconds.items()},
    )


_MESSAGES: Final[Mapping[type[Result], Callable[[Prediction, EventMillis], msgspec.Struct]]] = {
    Classification: _classification
}
"""By the type of a task's result, how its message is written."""


def decode_prediction(value: bytes) -> PredictionMessage:
    """Read a prediction, as a consumer does.

    Raises:
        msgspec.MsgspecError: it is not a prediction message.
    """
    return msgspec.json.decode(value, type=PredictionMessage)
