"""Clips of one camera: hopping windows of capture time, with a number of slots each, aligned to the epoch.

    slots of capture time    0 . 1 . 2 . 3 . 4 . 5 . 6 . 7 ...     `rate` a second
    frames                   a a b   c   d     e f   g   h         the first frame of a slot fills it
    clips of 4, stride 2     a - b - c - d
                                     c - d - e - e                 slot 5 is a gap; `repeat` shows e again
                                             e - e - g - h

Where a clip begins follows from the grid alone, so it never depends on what a worker has seen before. A clip is made as
soon as its last slot is filled, or a later one. It is made only if it has a frame that no earlier clip has shown: that
of them which was captured last carries its prediction.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.clips import ClipLabel, Gap, Slots
from worker.domain.samples import LATE, OVER_RATE, ClipPlan, Sample, Skipped
from worker.ports import Prepare
from worker.sampling.by_camera import Held, Taken
from worker.sampling.order import Arrival

BETWEEN_CLIPS: Final = "between-clips"
GAP: Final = "gap"


@dataclass(frozen=True, slots=True)
class ClipRules:
    """How clips are made.

    Attributes:
        frames: slots of a clip, at least 2.
        rate: slots a second.
        stride: slots from the beginning of a clip to that of the next, at least 1.
        gap: what becomes of a clip with empty slots.
        least: fewest different frames of a clip, at least 1.
        label: which label counts as the clip's.
    """

    frames: int
    rate: float
    stride: int
    gap: Gap
    least: int
    label: ClipLabel


class ClipTrack:
    """Implements `sampling.by_camera.Track`: makes the clips of one camera.

    Args:
        prepare: begins to decode a frame that clips will show.
    """

    def __init__(self, rules: ClipRules, prepare: Prepare) -> None:
        self.held: deque[Held] = deque()
        self.last: int | None = None
        self._rules = rules
        self._slots = Slots(rules.rate)
        self._prepare = prepare
        self._last_slot = -1
        self._next_clip = 0
        self._shown_to = 0  # every frame in a slot below was shown, or skipped

    def follow(self, arrival: Arrival) -> Taken:
        """Take the next frame in order of capture; return the clips that it completes, and what is skipped."""
        frame, rules = arrival.frame, self._rules
        slot = self._slots.of(frame.frame.captured_at)
        if slot <= self._last_slot:
            return [Skipped(frame.frame, OVER_RATE, needs=self.last)]
        taken = self._complete(before=slot)
        self._last_slot, self.last = slot, arrival.witness
        if slot % rules.stride >= rules.frames:
            return [*taken, Skipped(frame.frame, BETWEEN_CLIPS)]
        if slot // rules.stride < self._next_clip:
            return [*taken, Skipped(frame.frame, LATE)]
        self.held.append(Held(frame, self._prepare(frame), arrival.witness, slot))
        return [*taken, *self._complete(before=slot + 1)]

    def finish(self) -> Taken:
        """Make the clips that have begun, with the frames that there are."""
        taken = self._complete(before=self._last_slot + self._rules.frames)
        self.last = None
        return taken

    def abandon(self, reason: str) -> Taken:
        """Make no clip of what is held; the next one begins after it."""
        skipped = [Skipped(each.frame.frame, reason) for each in self.held if each.slot >= self._shown_to]
        self._next_clip = self._last_slot // self._rules.stride + 1
        self.held.clear()
        self.last = None
        return skipped

    def _complete(self, *, before: int) -> list[Sample | Skipped]:
        """Make all clips that end at this slot or before it."""
        rules, taken = self._rules, list[Sample | Skipped]()
        while self.held and self._next_clip * rules.stride + rules.frames <= before:
            # Clips before the first frame that is held would be empty.
            first = (self.held[0].slot - rules.frames) // rules.stride + 1
            self._next_clip = max(self._next_clip, first)
            if self._next_clip * rules.stride + rules.frames > before:
                break
            taken += self._make(self._next_clip * rules.stride)
            self._next_clip += 1
            taken += self._drop(below=self._next_clip * rules.stride)
        if not self.held:
            self._next_clip = max(self._next_clip, (before - rules.frames) // rules.stride + 1)
        return taken

    def _make(self, start: int) -> list[Sample]:
        """Make the clip that begins with this slot, unless it has nothing new or too many gaps."""
        rules = self._rules
        held = [each for each in self.held if each.slot < start + rules.frames]
        new = [each.frame for each in held if each.slot >= self._shown_to]
        least = rules.frames if rules.gap == "skip" else rules.least
        if not new or len(held) < least:
            return []
        self._shown_to = held[-1].slot + 1
        plan = ClipPlan(
            shown=_shown([each.slot - start for each in held], rules.frames, rules.gap),
            places=(rules.frames - 1,),
            covers=tuple(new[:-1]),
            needs=min(each.witness for each in held),
            gap=rules.gap,
            least=least,
            label=rules.label,
        )
        return [Sample(tuple(each.frame for each in held), (new[-1],), tuple(each.picture for each in held), plan)]

    def _drop(self, *, below: int) -> list[Skipped]:
        """Let go of frames that no later clip has; those that no clip has shown are skipped."""
        skipped = []
        while self.held and self.held[0].slot < below:
            each = self.held.popleft()
            if each.slot >= self._shown_to:
                skipped.append(Skipped(each.frame.frame, GAP, needs=each.witness))
        self._shown_to = max(self._shown_to, below)
        return skipped


def _shown(filled: Sequence[int], slots: int, gap: Gap) -> tuple[int, ...]:
    """Return, for each place of the input, which frame it shows.

    Args:
        filled: the slots that have a frame, rising, at least one.
        slots: of the clip.
        gap: what is done about the others.
    """
    if gap == "shorten":
        return tuple(range(len(filled)))
    shown, index = list[int](), 0
    for slot in range(slots):
        if index + 1 < len(filled) and filled[index + 1] <= slot:
            index += 1
        shown.append(index)
    return tuple(shown)
