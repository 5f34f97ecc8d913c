"""Predictions out (schemas/prediction.v1.json)."""

import msgspec

from worker.domain.records import OutboundRecord
from worker.domain.results import Prediction
from worker.domain.times import EventMillis
from worker.wire.frame import CONTENT_TYPE, TRACEPARENT

_JSON = msgspec.json.Encoder()


class ModelField(msgspec.Struct):
    """The model's identity, as every message writes it."""

    name: str
    version: str


class _Frame(msgspec.Struct, kw_only=True):
    camera: str
    id: str
    topic: str
    partition: int
    offset: int


class _Window(msgspec.Struct, kw_only=True):
    start_ms: int
    end_ms: int
    closed_by: str
    late: bool


class _Class(msgspec.Struct):
    index: int
    name: str
    probability: float


class _Verdict(msgspec.Struct):
    top1: bool
    top5: bool


class _Prediction(msgspec.Struct, kw_only=True):
    version: int = 1
    frame: _Frame
    captured_at_ms: int
    arrived_at_ms: int
    published_at_ms: int
    window: _Window
    model: ModelField
    classes: list[_Class]
    label: str | None
    correct: _Verdict | None
    seconds: dict[str, float]


def render_prediction(topic: str, prediction: Prediction, *, published_at: EventMillis) -> OutboundRecord:
    """Write a prediction, to the same partition number as its frame's."""
    frame, window, verdict = prediction.frame, prediction.window, prediction.verdict
    partition = frame.position.partition
    message = _Prediction(
        frame=_Frame(
            camera=frame.camera,
            id=frame.frame_id,
            topic=partition.topic,
            partition=partition.partition,
            offset=frame.position.offset,
        ),
        captured_at_ms=frame.captured_at,
        arrived_at_ms=frame.arrived_at,
        published_at_ms=published_at,
        window=_Window(start_ms=window.start, end_ms=window.end, closed_by=prediction.closed_by, late=prediction.late),
        model=ModelField(prediction.model.name, prediction.model.version),
        classes=[_Class(each.index, each.name, each.probability) for each in prediction.classes],
        label=frame.label,
        correct=_Verdict(verdict.top1, verdict.top5) if verdict else None,
        seconds={stage: round(seconds, 6) for stage, seconds in prediction.seconds.items()},
    )
    headers: list[tuple[str, bytes | None]] = [(CONTENT_TYPE, b"application/json")]
    if frame.traceparent:
        headers.append((TRACEPARENT, frame.traceparent.encode()))
    return OutboundRecord(topic, partition.partition, frame.camera.encode(), _JSON.encode(message), tuple(headers))
