"""From messages to what is shown: of one message, and of each frame of a sequence."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import CapturedFrame
from worker.domain.label_lists import read_labels
from worker.domain.times import EventMillis
from worker.views.shown import Compared, Event, Facts, Meter, Overlay, Share, ShownBox, Truth
from worker.wire import (
    ClipMessage,
    DetectionMessage,
    EmbeddingMessage,
    FrameValueMessage,
    Message,
    MultiLabelMessage,
    PredictionMessage,
    RecurrentMessage,
    SegmentationMessage,
)
from worker.wire.prediction_fields import ClipField

NO_PREDICTION = "no prediction"
NOTHING_FOUND = "nothing found"
NOTHING_NAMED = "none of the classes"
NUMBERS_SHOWN = 4
"""Of a vector."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What became of a frame that was refused: its dead letter's reason."""

    reason: str


Outcome = Message | Rejected


def facts_of(message: Message) -> Facts:
    """Return what a prediction of any task says of its frame."""
    facts = Facts(camera=message.frame.camera, captured_at=EventMillis(message.captured_at_ms))
    match message:
        case DetectionMessage():
            return _detected(facts, message)
        case SegmentationMessage(shares=shares, mask=mask):
            classes = tuple(Share(each.name, each.share, each.index) for each in shares)
            return replace(facts, classes=classes, overlay=Overlay(mask.png, Box(*mask.covers)) if mask else None)
        case EmbeddingMessage(vector=vector):
            first = ", ".join(f"{each:.2f}" for each in vector[:NUMBERS_SHOWN])
            return replace(facts, note=f"{len(vector)} numbers: {first}{', ...' * (len(vector) > NUMBERS_SHOWN)}")
    facts = replace(facts, truth=_truth(message))
    match message:
        case FrameValueMessage(value=value, threshold=threshold, event=event):
            return replace(facts, meter=Meter(value, threshold), event=Event(event) if event else None)
        case MultiLabelMessage(named=named):
            classes = tuple(Share(each.name, each.probability) for each in message.classes if each.name in named)
            return replace(facts, classes=classes, note=None if named else NOTHING_NAMED)
        case PredictionMessage():
            return replace(facts, classes=_classes(message), note=_seen(message))


def facts_of_frames(
    frames: Iterable[CapturedFrame], outcome_of: Callable[[int], Outcome | None], *, event_frames: int = 1
) -> Iterator[tuple[CapturedFrame, Facts]]:
    """Yield each frame, in order, with what is shown on it.

    A clip's prediction is shown from the clip's last frame on, until that of the camera's next clip; so is one of a
    recurrent model, which may see fewer frames than there are. A frame without any prediction says so, with the reason
    as far as it is known.

    Args:
        frames: in the order of their offsets, from 0.
        outcome_of: returns what the worker published for an offset; None for a frame that it skipped.
        event_frames: on how many frames an event is shown, its own included.
    """
    clips, events = dict[str, Facts](), dict[str, Event]()
    for offset, frame in enumerate(frames):
        bare, outcome = Facts(camera=frame.camera, captured_at=frame.captured_at), outcome_of(offset)
        shown = clips.get(frame.camera) or replace(bare, note=NO_PREDICTION)
        if isinstance(outcome, Rejected):
            shown = replace(shown, note=f"{NO_PREDICTION}: {outcome.reason}")
        elif outcome is not None:
            shown = facts_of(outcome)
            if isinstance(outcome, ClipMessage | RecurrentMessage):
                clips[frame.camera] = shown
        event = shown.event or _one_later(events.get(frame.camera), event_frames)
        if event is not None:
            events[frame.camera] = event
        else:
            events.pop(frame.camera, None)
        yield frame, replace(shown, camera=frame.camera, captured_at=frame.captured_at, event=event)


def _one_later(event: Event | None, event_frames: int) -> Event | None:
    """Return an event as it is shown on the next frame; None once it was shown on enough of them."""
    if event is None or event.since_event + 1 >= event_frames:
        return None
    return replace(event, since_event=event.since_event + 1)


def _classes(message: PredictionMessage) -> tuple[Share, ...]:
    return tuple(Share(each.name, each.probability) for each in message.classes)


def _detected(facts: Facts, message: DetectionMessage) -> Facts:
    correct, counts = message.correct, message.counts
    return replace(
        facts,
        boxes=tuple(ShownBox(each.index, each.name, each.score, Box(*each.box)) for each in message.boxes),
        true_boxes=tuple(TrueBox(each.label, Box(*each.box)) for each in message.truth or ()),
        compared=Compared(correct.hits, correct.hits + correct.misses, correct.false_alarms) if correct else None,
        note=", ".join(f"{count} {name}" for name, count in counts.items()) or NOTHING_FOUND,
    )


def _truth(message: PredictionMessage | MultiLabelMessage | FrameValueMessage) -> Truth | None:
    if message.label is None:
        return None
    if isinstance(message, MultiLabelMessage):
        listed = read_labels(message.label)
        text = message.label if listed is None else ", ".join(listed) or NOTHING_NAMED
        return Truth(text, message.correct.exact if message.correct else None)
    return Truth(message.label, message.correct.top1 if message.correct else None)


def _seen(message: PredictionMessage) -> str | None:
    """Say which frames a prediction is about, if it is about several."""
    match message:
        case ClipMessage(clip=clip):
            return _clip(clip)
        case RecurrentMessage(steps=steps):
            return f"after {steps} frame{'s' * (steps != 1)}"
    return None


def _clip(clip: ClipField) -> str:
    """Say how many frames the model saw, and of how many if some were missing."""
    frames = f"{clip.frames} frame{'s' * (clip.frames != 1)}"
    return f"clip of {frames}" if clip.used == clip.frames else f"clip: {clip.used} of {frames}"
