"""What a model says of pictures, for a person: what there is to see without labels."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from worker import wire
from worker.domain.times import EventMillis
from worker.evaluation.tables import share, table
from worker.views.clock import clock

MOST: Final = 20
"""Rows of a table at most."""
EXAMPLES: Final = 5
"""Frames that are named of the surest predictions, and of the least sure."""


def overview_of(messages: Sequence[wire.Message]) -> Iterator[RenderableType]:
    """Yield what is to be printed of predictions."""
    for kind, shown in _SHOWN.items():
        if found := [message for message in messages if isinstance(message, kind)]:
            yield from shown(found)


def _predicted(messages: Sequence[wire.PredictionMessage]) -> Iterator[RenderableType]:
    probabilities = defaultdict[str, list[float]](list)
    for each in messages:
        probabilities[each.classes[0].name].append(each.classes[0].probability)
    what = "clips" if isinstance(messages[0], wire.ClipMessage) else "frames"
    yield _most_frequent("predicted classes", what, probabilities, "mean probability")
    by_surety = sorted(messages, key=lambda each: (-each.classes[0].probability, each.frame.offset))
    if len(messages) <= EXAMPLES:
        yield _examples("predictions", by_surety)
        return
    yield _examples("surest", by_surety[:EXAMPLES])
    yield _examples("least sure", by_surety[: -EXAMPLES - 1 : -1])


def _examples(title: str, messages: Iterable[wire.PredictionMessage]) -> RenderableType:
    rows = [(_place(each), each.classes[0].name, share(each.classes[0].probability)) for each in messages]
    return table(title, ("frame", "predicted", "probability"), rows)


def _place(message: wire.PredictionMessage) -> str:
    """Name the frame, or of a clip the first and the last."""
    if isinstance(message, wire.ClipMessage):
        return f"{message.clip.first.id} to {message.clip.last.id}"
    return message.frame.id


def _named(messages: Sequence[wire.MultiLabelMessage]) -> Iterator[RenderableType]:
    probabilities = defaultdict[str, list[float]](list)
    for message in messages:
        found = {each.name: each.probability for each in message.classes}
        for name in message.named:
            probabilities[name].append(found.get(name, 0.0))
    yield _most_frequent("named classes", "frames", probabilities, "mean probability")
    if none := sum(not message.named for message in messages):
        yield f"frames without any class: {none}"


def _objects(messages: Sequence[wire.DetectionMessage]) -> Iterator[RenderableType]:
    scores, frames = defaultdict[str, list[float]](list), Counter[str]()
    for message in messages:
        frames.update(message.counts.keys())
        for each in message.boxes:
            scores[each.name].append(each.score)
    rows = [(name, str(len(found)), str(frames[name]), share(_mean(found))) for name, found in _by_count(scores)]
    yield table(_title("objects", scores), ("class", "objects", "frames", "mean score"), rows)
    if empty := sum(not message.boxes for message in messages):
        yield f"frames without any object: {empty}"
    compared = [message.correct for message in messages if message.correct is not None]
    if compared:
        hits, misses, false_alarms = (
            sum(getattr(each, name) for each in compared) for name in ("hits", "misses", "false_alarms")
        )
        yield f"boxes compared with true ones: {hits} hits, {misses} misses, {false_alarms} false alarms"


def _areas(messages: Sequence[wire.SegmentationMessage]) -> Iterator[RenderableType]:
    shares = defaultdict[str, list[float]](list)
    for message in messages:
        for each in message.shares:
            shares[each.name].append(each.share)
    yield _most_frequent("classes", "frames", shares, "mean share")


def _events(messages: Sequence[wire.FrameValueMessage]) -> Iterator[RenderableType]:
    values = [each.value for each in messages]
    yield f"values from {min(values):.3f} to {max(values):.3f}; the threshold is {messages[0].threshold:g}"
    events = [each for each in messages if each.event is not None]
    if not events:
        yield "no event: no value reaches the threshold after one below it"
        return
    title = f"{len(events)} events" if len(events) <= MOST else f"the first {MOST} of {len(events)} events"
    rows = [
        (each.event or "", each.frame.id, clock(EventMillis(each.captured_at_ms)), share(each.value))
        for each in events[:MOST]
    ]
    yield table(title, ("event", "frame", "at", "value"), rows)


def _vectors(messages: Sequence[wire.EmbeddingMessage]) -> Iterator[RenderableType]:
    yield f"{len(messages)} vectors of {len(messages[0].vector)} numbers"


def _most_frequent(title: str, what: str, found: dict[str, list[float]], mean: str) -> RenderableType:
    rows = [(name, str(len(values)), share(_mean(values))) for name, values in _by_count(found)]
    return table(_title(title, found), ("class", what, mean), rows)


def _title(title: str, found: dict[str, list[float]]) -> str:
    return title if len(found) <= MOST else f"the {MOST} most frequent of {len(found)} {title}"


def _by_count(found: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    return sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))[:MOST]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


_SHOWN: Final[Mapping[type[wire.Message], Callable[[Sequence[Any]], Iterator[RenderableType]]]] = {
    wire.PredictionMessage: _predicted,
    wire.MultiLabelMessage: _named,
    wire.DetectionMessage: _objects,
    wire.SegmentationMessage: _areas,
    wire.FrameValueMessage: _events,
    wire.EmbeddingMessage: _vectors,
}
"""By the type of a message, what is printed; those of clips and recurrent models are predictions of classes too."""
