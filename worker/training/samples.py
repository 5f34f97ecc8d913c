"""What is learned from in one piece: a picture, a clip, a sequence or a picture with boxes, by rows of the pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from worker.data.clips import at_rate, cut_clips, cut_sequences
from worker.data.items import Item, in_order_of_time
from worker.domain.clips import ClipShape
from worker.domain.geometry import Geometry
from worker.training.options import Options
from worker.training.prepared import Prepared

UNKNOWN: Final = -100
"""A target that counts for nothing, as in torch's losses."""
SILENCE_MS: Final = 10_000
"""Milliseconds without a frame after which a recurrent model begins anew, as in the manifest."""
WHOLE: Final = 1_000_000
"""Longer than any sequence: a held-out stream is looked at from its beginning to its end, as the worker does."""
_USUAL: Final = ClipShape(16, 10.0)
"""If neither the options nor the weights say more."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Which frames are looked at together.

    Attributes:
        frames: of a clip, or of the longest sequence that is learned from.
        rate: frames a second; None takes every frame, as a recurrent network can.
    """

    frames: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures that the network takes together.

    Attributes:
        group: the camera or video that they are from.
        rows: of the prepared pixels; one for a picture.
        targets: indices of classes: one for a picture or a clip, one for each frame of a sequence; of a detector, one
            for each box.
        boxes: of a detector, (left, top, right, bottom) in pixels of the input.
    """

    group: str
    rows: tuple[int, ...]
    targets: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def timing_of(options: Options, trained: ClipShape | None) -> Timing | None:
    """Return which frames are looked at together; None for single pictures.

    Args:
        options: name the task, and may name both numbers.
        trained: what the weights were trained with that training begins with, if they see time.
    """
    match options.task:
        case "clip":
            usual = trained or _USUAL
            return Timing(options.frames or usual.frames, options.rate or usual.rate)
        case "recurrent":
            return Timing(options.frames or _USUAL.frames, options.rate)
    return None


def to_prepare(items: Sequence[Item], timing: Timing | None) -> list[Item]:
    """Return the items that samples may show: with a rate, the first frame of each slot of time."""
    if timing is None or timing.rate is None:
        return list(items)
    streams = in_order_of_time(items).values()
    return [item for stream in streams for item in at_rate(stream, timing.rate).values()]


def samples_of(
    prepared: Prepared, options: Options, timing: Timing | None, classes: Mapping[str, int], *, whole: bool
) -> list[Sample]:
    """Return the samples of the pictures that could be read; those without a known class are left out.

    Args:
        prepared: the pictures.
        options: name the task.
        timing: what a clip or a sequence is made of.
        classes: indices by name.
        whole: whether a recurrent network sees whole streams; else sequences of the clip's length.

    Raises:
        ValueError: a task that sees time was given no timing.
    """
    match options.task:
        case "classify":
            labels = [(row, each.group, each.label) for row, each in enumerate(prepared.items)]
            return [Sample(group, (row,), (classes[name],)) for row, group, name in labels if name and name in classes]
        case "detect":
            pairs = enumerate(zip(prepared.items, prepared.geometries, strict=True))
            return [_boxed(row, each, how, classes) for row, (each, how) in pairs if each.boxes is not None]
    if timing is None:
        raise ValueError(f"task {options.task} sees time, so it needs a timing")
    if options.task == "clip":
        return list(_clips(prepared, timing, options.stride, classes))
    return list(_sequences(prepared, WHOLE if whole else timing.frames, classes))


def _clips(prepared: Prepared, timing: Timing, stride: int | None, classes: Mapping[str, int]) -> Iterator[Sample]:
    rows = prepared.rows()
    for stream in in_order_of_time(prepared.items).values():
        for each in cut_clips(stream, frames=timing.frames, rate=timing.rate or _USUAL.rate, stride=stride):
            if each.label and each.label in classes:
                shown = tuple(rows[item.name] for item in each.places)
                yield Sample(stream[0].group, shown, (classes[each.label],))


def _sequences(prepared: Prepared, frames: int, classes: Mapping[str, int]) -> Iterator[Sample]:
    rows = prepared.rows()
    for stream in in_order_of_time(prepared.items).values():
        for part in cut_sequences(stream, frames=frames, silence_ms=SILENCE_MS):
            targets = tuple(classes.get(item.label or "", UNKNOWN) for item in part)
            if set(targets) != {UNKNOWN}:
                yield Sample(stream[0].group, tuple(rows[item.name] for item in part), targets)


def _boxed(row: int, item: Item, how: Geometry, classes: Mapping[str, int]) -> Sample:
    known = [each for each in item.boxes or () if each.label in classes]
    boxes = []
    for each in known:
        left, top = how.to_input(each.box.left, each.box.top)
        right, bottom = how.to_input(each.box.right, each.box.bottom)
        boxes.append((left, top, right, bottom))
    return Sample(item.group, (row,), tuple(classes[each.label] for each in known), tuple(boxes))
