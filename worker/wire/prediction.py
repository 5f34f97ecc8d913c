"""Predictions out, and read as a consumer does: a message for each task.

Their schemas are schemas/prediction.v1.json, multi-label-prediction.v1.json, clip-prediction.v1.json,
frame-value.v1.json, detection.v1.json, segmentation.v1.json and embedding.v1.json.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from worker.domain.boxes import Box
from worker.domain.frames import Frame
from worker.domain.records import OutboundRecord
from worker.domain.results import (
    BoxVerdict,
    Classification,
    Detections,
    Embedding,
    FrameValue,
    NamedVerdict,
    Prediction,
    Result,
    Segmentation,
    SequenceClassification,
    SeveralClasses,
    Verdict,
)
from worker.domain.times import EventMillis
from worker.wire.frame import CONTENT_TYPE, TRACEPARENT
from worker.wire.prediction_fields import (
    BoxCountField,
    BoxField,
    ClassField,
    ClipField,
    ClipMessage,
    CorrectField,
    DetectionMessage,
    EmbeddingMessage,
    EndField,
    FrameField,
    FrameValueMessage,
    MaskField,
    Message,
    ModelField,
    MultiLabelMessage,
    NamedField,
    PredictionMessage,
    RecurrentMessage,
    SegmentationMessage,
    ShareField,
    Sides,
    TrueBoxField,
    WindowField,
)

_JSON = msgspec.json.Encoder()


def frame_field(frame: Frame) -> FrameField:
    """Say which frame."""
    partition, offset = frame.position
    return FrameField(
        camera=frame.camera, id=frame.frame_id, topic=partition.topic, partition=partition.partition, offset=offset
    )


def message_of(prediction: Prediction, *, published_at: EventMillis) -> Message:
    """Return the message of a prediction of any task."""
    return _MESSAGES[type(prediction.result)](prediction, prediction.result, published_at)


def render_prediction(topic: str, prediction: Prediction, *, published_at: EventMillis) -> OutboundRecord:
    """Write a prediction, to the same partition number as its frame's."""
    frame = prediction.frame
    message = _MESSAGES[type(prediction.result)](prediction, prediction.result, published_at)
    headers: list[tuple[str, bytes | None]] = [(CONTENT_TYPE, b"application/json")]
    if frame.traceparent:
        headers.append((TRACEPARENT, frame.traceparent.encode()))
    number = frame.position.partition.partition
    return OutboundRecord(topic, number, frame.camera.encode(), _JSON.encode(message), tuple(headers))


def _envelope(prediction: Prediction, published_at: EventMillis) -> dict[str, Any]:
    """Return the fields that every message has."""
    frame, window, verdict = prediction.frame, prediction.window, prediction.verdict
    return {
        "frame": frame_field(frame),
        "captured_at_ms": frame.captured_at,
        "arrived_at_ms": frame.arrived_at,
        "published_at_ms": published_at,
        "window": WindowField(
            start_ms=window.start, end_ms=window.end, closed_by=prediction.closed_by, late=prediction.late
        ),
        "model": ModelField(prediction.model.name, prediction.model.version),
        "label": prediction.label,
        "correct": CorrectField(verdict.top1, verdict.top5) if isinstance(verdict, Verdict) else None,
        "seconds": {stage: round(seconds, 6) for stage, seconds in prediction.seconds.items()},
    }


def _classification(prediction: Prediction, result: Classification, published_at: EventMillis) -> PredictionMessage:
    classes = [ClassField(each.index, each.name, each.probability) for each in result.classes]
    envelope, span = _envelope(prediction, published_at), prediction.clip
    if span is None:
        return PredictionMessage(classes=classes, **envelope)
    clip = ClipField(first=_end(span.first), last=_end(span.last), frames=span.places, used=span.used)
    return ClipMessage(classes=classes, clip=clip, **envelope)


def _recurrent(prediction: Prediction, result: SequenceClassification, published_at: EventMillis) -> RecurrentMessage:
    classes = [ClassField(each.index, each.name, each.probability) for each in result.classes]
    return RecurrentMessage(classes=classes, steps=result.steps, **_envelope(prediction, published_at))


def _several(prediction: Prediction, result: SeveralClasses, published_at: EventMillis) -> MultiLabelMessage:
    verdict = prediction.verdict
    found = (
        NamedField(verdict.exact, verdict.jaccard, *map(list, verdict)) if isinstance(verdict, NamedVerdict) else None
    )
    return MultiLabelMessage(
        named=list(result.named),
        classes=[ClassField(each.index, each.name, each.probability) for each in result.classes],
        **_envelope(prediction, published_at) | {"correct": found},
    )


def _frame_value(prediction: Prediction, result: FrameValue, published_at: EventMillis) -> FrameValueMessage:
    return FrameValueMessage(
        value=result.value,
        threshold=result.threshold,
        event=result.event,
        **_envelope(prediction, published_at),
    )


def _detection(prediction: Prediction, result: Detections, published_at: EventMillis) -> DetectionMessage:
    found, verdict, truth = result.boxes, prediction.verdict, prediction.frame.boxes
    return DetectionMessage(
        boxes=[BoxField(each.index, each.name, each.score, _sides(each.box)) for each in found],
        counts=dict(Counter(each.name for each in found)),
        truth=None if truth is None else [TrueBoxField(each.label, _sides(each.box)) for each in truth],
        correct=BoxCountField(*verdict.counts) if isinstance(verdict, BoxVerdict) else None,
        **_without_label(prediction, published_at),
    )


def _segmentation(prediction: Prediction, result: Segmentation, published_at: EventMillis) -> SegmentationMessage:
    mask = result.mask
    return SegmentationMessage(
        shares=[ShareField(*each) for each in result.shares],
        mask=MaskField(mask.png, _sides(mask.covers)) if mask else None,
        **_without_label(prediction, published_at),
    )


def _embedding(prediction: Prediction, result: Embedding, published_at: EventMillis) -> EmbeddingMessage:
    return EmbeddingMessage(vector=list(result.vector), **_without_label(prediction, published_at))


def _without_label(prediction: Prediction, published_at: EventMillis) -> dict[str, Any]:
    """Return the envelope of a task that is not compared with a label."""
    envelope = _envelope(prediction, published_at)
    del envelope["label"], envelope["correct"]
    return envelope


def _sides(box: Box) -> Sides:
    """Return the sides of a box to a hundredth of a pixel: more digits mean nothing."""
    left, top, right, bottom = box
    return round(left, 2), round(top, 2), round(right, 2), round(bottom, 2)


def _end(frame: Frame) -> EndField:
    return EndField(id=frame.frame_id, offset=frame.position.offset, captured_at_ms=frame.captured_at)


_MESSAGES: Final[Mapping[type[Result], Callable[[Prediction, Any, EventMillis], Message]]] = {
    Classification: _classification,
    SeveralClasses: _several,
    FrameValue: _frame_value,
    Detections: _detection,
    Segmentation: _segmentation,
    Embedding: _embedding,
    SequenceClassification: _recurrent,
}
"""By the type of a task's result, how its message is written."""
_TYPES: Final[Mapping[str, type[Message]]] = {
    "classify": PredictionMessage,
    "multi_label": MultiLabelMessage,
    "clip": ClipMessage,
    "frame_values": FrameValueMessage,
    "detect": DetectionMessage,
    "segment": SegmentationMessage,
    "embed": EmbeddingMessage,
    "recurrent": RecurrentMessage,
}
"""By the task that a message names, its type; a message of the task `classify` names none."""


class _TaskOf(msgspec.Struct):
    task: str = "classify"


def decode_prediction(value: bytes) -> PredictionMessage:
    """Read a prediction of classes, of a single frame or of a clip, as a consumer does.

    Raises:
        msgspec.MsgspecError: it is not such a message.
    """
    return msgspec.json.decode(value, type=PredictionMessage)


def decode_message(value: bytes) -> Message:
    """Read a prediction of any task.

    Raises:
        msgspec.MsgspecError: it is not a prediction message, or of a task that is not known here.
    """
    task = msgspec.json.decode(value, type=_TaskOf).task
    if task not in _TYPES:
        known = ", ".join(_TYPES)
        raise msgspec.ValidationError(
            f"a prediction of the task {task!r}, but this version reads {known}: use a newer vision-worker"
        )
    return msgspec.json.decode(value, type=_TYPES[task])
