"""A sampler that needs earlier frames, skips some frames, and decides late: all that `EveryFrame` does not do."""

from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping, Sequence

from worker.domain.frames import EncodedFrame
from worker.domain.records import Position
from worker.domain.samples import Sample, Skipped
from worker.domain.times import Monotonic

CONTEXT = 2
"""Number of earlier frames of its camera that a frame needs."""
REACH = 6
"""Maximum distance of these frames, in offsets."""

Trails = MutableMapping[Position, tuple[int, ...]]
"""The offsets of the context in each frame's sample."""


class Trail:
    """Returns each frame with the two previous frames of its camera, when the camera's next frame arrives.

    Args:
        trails: records the context of each sample.
    """

    def __init__(self, trails: Trails) -> None:
        self._trails = trails
        self._next = 0
        self._past: dict[str, deque[EncodedFrame]] = {}
        self._undecided: dict[str, EncodedFrame] = {}

    held_bytes = 0

    def take(self, frame: EncodedFrame, now: Monotonic) -> Sequence[Sample | Skipped]:  # noqa: ARG002 silence decides nothing
        self._next = frame.frame.position.next_offset
        if is_skipped(frame.frame.captured_at):
            return [Skipped(frame.frame, "test")]
        camera = frame.frame.camera
        previous = self._undecided.get(camera)
        self._undecided[camera] = frame
        return [] if previous is None else [self._sample(previous)]

    def pass_time(self, now: Monotonic) -> Sequence[Sample | Skipped]:  # noqa: ARG002 silence decides nothing
        return ()

    def relieve(self) -> None:
        """Return None: it never lets go."""

    def drain(self) -> Sequence[Sample | Skipped]:
        decided = [self._sample(each) for each in self._undecided.values()]
        self._undecided.clear()
        return decided

    def oldest_needed(self) -> int | None:
        """Return the oldest offset that an undecided or a future frame needs."""
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
    """Tell whether a frame with this capture time is skipped."""
    return captured_at % 4 == 3


def context_by_hand(frames: Iterable[tuple[int, str]], offset: int, camera: str) -> tuple[int, ...]:
    """Return the expected context of a frame, independently of the sampler.

    Args:
        frames: offset and camera of all frames of the partition that are not skipped.
        offset: offset of the frame.
        camera: camera of the frame.
    """
    past: Iterator[int] = (each for each, other in frames if other == camera and each < offset)
    return tuple(each for each in sorted(past)[-CONTEXT:] if each >= offset - REACH)
