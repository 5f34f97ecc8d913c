"""Clips and sequences of labelled frames, in the same slots of capture time as the worker's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.data.items import Item
from worker.domain.clips import Slots


@dataclass(frozen=True, slots=True)
class ItemClip:
    """Frames of one stream that are looked at together.

    Attributes:
        places: what each place of the input shows; where a frame is missing, the one before is repeated.
        label: the class of the last frame, as the worker counts it.
    """

    places: tuple[Item, ...]
    label: str | None


def cut_clips(stream: Sequence[Item], *, frames: int, rate: float, stride: int | None = None) -> Iterator[ItemClip]:
    """Yield the clips that the worker would make of a stream.

    The first frame of a slot fills it. A clip begins every `stride` slots, counted from the epoch. A gap shows the
    frame before it again. A clip with fewer than half of its frames is not made, nor is one that shows nothing new.

    Args:
        stream: the frames of one camera or video, in order of capture.
        frames: of a clip, at least 2.
        rate: slots a second.
        stride: slots from the beginning of a clip to that of the next; None takes `frames`.
    """
    step, filled = stride or frames, at_rate(stream, rate)
    if not filled:
        return
    slots, shown_to = sorted(filled), -1
    for number in range((slots[0] - frames) // step + 1, slots[-1] // step + 1):
        first = number * step
        there = [slot for slot in range(first, first + frames) if slot in filled]
        if len(there) < (frames + 1) // 2 or there[-1] <= shown_to:
            continue
        shown_to = there[-1]
        yield ItemClip(_fill(filled, range(first, first + frames), filled[there[0]]), filled[there[-1]].label)


def at_rate(stream: Sequence[Item], rate: float) -> dict[int, Item]:
    """Return the first frame of each slot, by slot."""
    slots, filled = Slots(rate), dict[int, Item]()
    for item in stream:
        filled.setdefault(slots.of(item.captured_at), item)
    return filled


def cut_sequences(stream: Sequence[Item], *, frames: int, silence_ms: int) -> Iterator[tuple[Item, ...]]:
    """Yield a stream in sequences of at most `frames` frames; a silence also ends one.

    Args:
        stream: in order of capture, already at the rate that is wanted.
        frames: of the longest sequence, at least 1.
        silence_ms: milliseconds without a frame after which a worker forgets what it has seen.
    """
    current = list[Item]()
    for item in stream:
        if current and (len(current) == frames or item.captured_at - current[-1].captured_at > silence_ms):
            yield tuple(current)
            current = []
        current.append(item)
    if current:
        yield tuple(current)


def _fill(filled: dict[int, Item], slots: range, first: Item) -> tuple[Item, ...]:
    places, shown = list[Item](), first
    for slot in slots:
        shown = filled.get(slot, shown)
        places.append(shown)
    return tuple(places)
