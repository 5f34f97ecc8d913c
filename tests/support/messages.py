"""Prediction messages of every task, as a consumer reads them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from worker.wire import (
    ClipMessage,
    DetectionMessage,
    EmbeddingMessage,
    FrameValueMessage,
    PredictionMessage,
    RecurrentMessage,
    SegmentationMessage,
)
from worker.wire.prediction_fields import (
    BoxCountField,
    BoxField,
    ClassField,
    ClipField,
    CorrectField,
    EndField,
    FrameField,
    MaskField,
    ModelField,
    ShareField,
    TrueBoxField,
    WindowField,
)

MILLIS_A_FRAME = 40


def envelope(
    offset: int, *, camera: str = "street", label: str | None = None, right: bool | None = None
) -> dict[str, Any]:
    """Return the fields that every message has."""
    at = MILLIS_A_FRAME * offset
    return {
        "frame": FrameField(camera=camera, id=f"frame-{offset}", topic="frames", partition=0, offset=offset),
        "captured_at_ms": at,
        "arrived_at_ms": at,
        "published_at_ms": at,
        "window": WindowField(start_ms=0, end_ms=1000, closed_by="size", late=False),
        "model": ModelField("model", "0123456789ab"),
        "label": label,
        "correct": None if right is None else CorrectField(right, right),
        "seconds": {},
    }


def classes(*names: str) -> Sequence[ClassField]:
    """Return classes, each half as likely as the one before."""
    return [ClassField(index, name, 0.5 ** (index + 1)) for index, name in enumerate(names)]


def classified(offset: int, *names: str, **rest: Any) -> PredictionMessage:
    return PredictionMessage(classes=list(classes(*names)), **envelope(offset, **rest))


def clip(first: int, last: int, *names: str, used: int | None = None, **rest: Any) -> ClipMessage:
    first_end, last_end = (
        EndField(id=f"frame-{offset}", offset=offset, captured_at_ms=MILLIS_A_FRAME * offset)
        for offset in (first, last)
    )
    places = last - first + 1
    field = ClipField(first=first_end, last=last_end, frames=places, used=places if used is None else used)
    return ClipMessage(classes=list(classes(*names)), clip=field, **envelope(last, **rest))


def frame_value(offset: int, value: float, *, event: str | None = None, **rest: Any) -> FrameValueMessage:
    return FrameValueMessage(value=value, threshold=0.5, event=event, **envelope(offset, **rest))


def after_steps(offset: int, steps: int, *names: str, **rest: Any) -> RecurrentMessage:
    return RecurrentMessage(classes=list(classes(*names)), steps=steps, **envelope(offset, **rest))


def detected(
    offset: int,
    *boxes: tuple[int, str, float, tuple[float, float, float, float]],
    truth: Sequence[tuple[str, tuple[float, float, float, float]]] | None = None,
    correct: tuple[int, int, int] | None = None,
) -> DetectionMessage:
    """Return boxes as (index, name, score, sides), compared with true ones as (hits, misses, false alarms)."""
    rest = envelope(offset)
    del rest["label"], rest["correct"]
    return DetectionMessage(
        boxes=[BoxField(*each) for each in boxes],
        counts=dict(Counter(name for _, name, _, _ in boxes)),
        truth=None if truth is None else [TrueBoxField(*each) for each in truth],
        correct=BoxCountField(*correct) if correct else None,
        **rest,
    )


def segmented(offset: int, *shares: tuple[int, str, float], mask: MaskField | None = None) -> SegmentationMessage:
    rest = envelope(offset)
    del rest["label"], rest["correct"]
    return SegmentationMessage(shares=[ShareField(*each) for each in shares], mask=mask, **rest)


def embedded(offset: int, *vector: float) -> EmbeddingMessage:
    rest = envelope(offset)
    del rest["label"], rest["correct"]
    return EmbeddingMessage(vector=list(vector), **rest)
