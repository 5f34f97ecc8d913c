"""Hidden states of recurrent models: what is remembered of a camera, and which frames go on from it.

A state carries the next input offset that it includes, as a tally does, and the capture time of its last frame. So what
becomes of a camera's next frame follows from the state and that frame alone, before and after a restart.
"""

from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.clips import Slots
from worker.domain.records import Position
from worker.domain.samples import DUPLICATE, LATE, OVER_RATE, PUBLISHED_BEFORE
from worker.domain.tallies import TallyKey
from worker.domain.times import EventMillis


class Place(NamedTuple):
    """How far a camera's state has come.

    Attributes:
        steps: frames that the state includes since it began anew.
        captured_at: capture time of its last frame. With a rate, a damaged frame fills its slot too, and counts here.
        next_offset: the state includes every frame of its camera below this input offset, and none at or above it.
    """

    steps: int
    captured_at: EventMillis
    next_offset: int


@dataclass(frozen=True, slots=True)
class HiddenState:
    """The hidden state of one camera of one partition, of one model version.

    Attributes:
        numbers: float32, little-endian: kept as bytes, since nothing is computed with them until the next frame.
        topic_id: the cluster's id of the topic whose frames it includes; None if it is not known.
    """

    key: TallyKey
    place: Place
    numbers: bytes
    topic_id: str | None = None

    @property
    def next_offset(self) -> int:
        """The input offset up to which the state includes its camera's frames."""
        return self.place.next_offset


@dataclass(frozen=True, slots=True)
class DroppedState:
    """A state that no later frame can go on from, and that is to be deleted."""

    key: TallyKey


@dataclass(frozen=True, slots=True)
class SequenceRules:
    """Which frames of a camera go on from its state, and when the state begins anew.

    Attributes:
        silence_ms: milliseconds of capture time without a frame after which it begins anew.
        slots: of capture time; at most one frame of each is taken. None takes every frame.
        span: input offsets without a frame of the camera after which it begins anew: this bounds how many states there
            can be, by what each camera's own frames say.
    """

    silence_ms: int
    slots: Slots | None
    span: int

    def why_skipped(self, last: Place, offset: int, at: EventMillis) -> str | None:
        """Return why a frame is left out; None if it is taken.

        Args:
            last: how far its camera's state has come.
            offset: of the frame.
            at: its capture time.
        """
        if offset < last.next_offset:
            return PUBLISHED_BEFORE
        # First of all, as the sampler does it, which has forgotten after a restart what it took.
        if self.slots is not None and self.slots.of(at) <= self.slots.of(last.captured_at):
            return OVER_RATE
        if at > last.captured_at or self._begins_anew(last, offset, at):
            return None
        return DUPLICATE if at == last.captured_at else LATE

    def fills_slot(self, last: Place | None, position: Position, at: EventMillis) -> bool:
        """Tell whether a damaged frame is the one that the sampler took of its slot."""
        if self.slots is None:
            return False
        return last is None or self.why_skipped(last, position.offset, at) is None

    def next_place(self, last: Place | None, position: Position, at: EventMillis, *, is_damaged: bool = False) -> Place:
        """Return how far a camera's state has come with one more frame; a damaged one is no step."""
        is_new = last is None or self._begins_anew(last, position.offset, at)
        before = 0 if is_new or last is None else last.steps
        return Place(before + (not is_damaged), at, position.next_offset)

    def is_over(self, last: Place, offset: int) -> bool:
        """Tell whether no frame from this input offset on goes on from a state."""
        return offset >= last.next_offset + self.span

    def _begins_anew(self, last: Place, offset: int, at: EventMillis) -> bool:
        """Tell whether a frame is too far from the last one; if it is far earlier, the camera's clock was set back."""
        return abs(at - last.captured_at) > self.silence_ms or self.is_over(last, offset)
