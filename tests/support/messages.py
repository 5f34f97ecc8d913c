"""Prediction messages of every task, as a consumer reads them."""

from collections.abc import Sequence
from typing import Any

from worker.wire import ClipMessage, FrameValueMessage, PredictionMessage, RecurrentMessage
from worker.wire.prediction import ClassField, ClipField, CorrectField, EndField, FrameField, ModelField, WindowField

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
