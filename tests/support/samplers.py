"""A sampler that needs frames of the past, leaves some out, and decides late: all that `EveryFrame` never does."""

from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping, Sequence

from worker.domain.frames import EncodedFrame
from worker.domain.records import Position
from worker.domain.samples import Sample, Skipped

CONTEXT = 2
"""Earlier frames of its camera that a frame needs."""
REACH = 6
"""Offsets within which they must lie."""

Trails = MutableMapping[Position, tuple[int, ...]]
"""For each frame, the offsets of the context that its sample was made with."""


class Trail:
    """Gives each frame together with the two before it of its camera, once the next one of its camera has come.

    Args:
        trails: where the context of each sample is noted down.
    """

    def __init__(self, trails: Trails) -> None:
        self._trails = trails
        self._next = 0
        self._past: dict[str, deque[EncodedFrame]] = {}
        self._undecided: dict[str, EncodedFrame] = {}

    def take(self, frame: EncodedFrame) -> Sequence[Sample | Skipped]:
        self._next = frame.frame.position.next_offset
        if is_skipped(frame.frame.captured_at):
            return [Skipped(frame.frame, "test")]
        camera = frame.frame.camera
        decided = [self._sample(each) for each in [self._undecided.pop(camera, None)] if each is not None]
        self._undecided[camera] = frame
        return decided

    def drain(self) -> Sequence[Sample | Skipped]:
        decided = [self._sample(each) for each in self._undecided.values()]
        self._undecided.clear()
        return decided

    def oldest_needed(self) -> int | None:
        """A frame that comes needs its neighbours, and so does one that is undecided."""
        ends = dict.fromkeys(self._past, self._next) | {
            camera: each.frame.position.offset for camera, each in self._undecided.items()
        }
        needed = [each.frame.position.offset for each in self._undecided.values()]
        for camera, end in ends.items():
            past = (each.frame.position.offset for each in self._past.get(camera, ()))
            needed += [offset for offset in past if offset >= end - REACH]
        return min(needed, default=None)

    def _sample(self, frame: EncodedFrame) -> Sample:
        past = self._past.setdefault(frame.frame.camera, deque(maxlen=CONTEXT))
        offset = frame.frame.position.offset
        context = [each for each in past if each.frame.position.offset >= offset - REACH]
        past.append(frame)
        self._trails[frame.frame.position] = tuple(each.frame.position.offset for each in context)
        return Sample((*context, frame), (frame,))


def is_skipped(captured_at: int) -> bool:
    """Tell whether a frame of this capture time is left out."""
    return captured_at % 4 == 3


def context_by_hand(frames: Iterable[tuple[int, str]], offset: int, camera: str) -> tuple[int, ...]:
    """Return the context that a frame must have had, whoever made its sample.

    Args:
        frames: offset and camera of all frames of the partition that are not left out.
        offset: of the frame.
        camera: of the frame.
    """
    past: Iterator[int] = (each for each, other in frames if other == camera and each < offset)
    return tuple(each for each in sorted(past)[-CONTEXT:] if each >= offset - REACH)
