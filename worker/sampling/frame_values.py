"""Input for models that give a value for each frame in the middle of what they see, as TransNetV2 does.

    frames of a camera      ... b b b | m m m m m m | a a a ...
                                      ^ a segment: a tumbling window of capture time, aligned to the epoch

A segment's frames are the middle of the model's input, each exactly once. Around them are the frames that come before
and after. A segment of more frames than fit into the middle is cut into several inputs. Before a camera's first frame
and behind its last, the nearest is repeated; TransNetV2's own procedure does the same.
"""

from collections import deque
from dataclasses import dataclass

from worker.domain.clips import Slots
from worker.domain.samples import OVER_RATE, ClipPlan, Sample, Skipped
from worker.ports import Prepare
from worker.sampling.by_camera import Held, Taken
from worker.sampling.order import Arrival


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How frames become inputs.

    Attributes:
        frames: places of the input.
        middle: how many of them, in the middle, get a value.
        segment: segments a second: the rate that the model was trained with, divided by `middle`.
        rate: frames a second to which a camera's are reduced; None takes every frame.
    """

    frames: int
    middle: int
    segment: float
    rate: float | None = None

    @property
    def context(self) -> int:
        """Places before the middle, and after it."""
        return (self.frames - self.middle) // 2


class ValueTrack:
    """Implements `sampling.by_camera.Track`: makes the inputs of one camera.

    Args:
        prepare: begins to decode a frame.
    """

    def __init__(self, rules: ValueRules, prepare: Prepare) -> None:
        self.held: deque[Held] = deque()
        self.last: int | None = None
        self._rules = rules
        self._segments = Slots(rules.segment)
        self._slots = Slots(rules.rate) if rules.rate else None
        self._prepare = prepare
        self._last_slot = -1
        self._before = 0  # how many of the frames held come before the open segment, and have their value

    def follow(self, arrival: Arrival) -> Taken:
        """Take the next frame in order of capture; return the inputs that it completes."""
        frame = arrival.frame
        if self._slots is not None:
            slot = self._slots.of(frame.frame.captured_at)
            if slot <= self._last_slot:
                return [Skipped(frame.frame, OVER_RATE, needs=self.last)]
            self._last_slot, self.last = slot, arrival.witness
        segment = self._segments.of(frame.frame.captured_at)
        self.held.append(Held(frame, self._prepare(frame), arrival.witness, segment))
        return self._complete(behind=max(1, self._rules.context))

    def finish(self) -> Taken:
        """Give every frame its value, with the frames that there are."""
        taken = self._complete(behind=0)
        self._let_go()
        return taken

    def abandon(self, reason: str) -> Taken:
        """Give no more values to the frames that are held."""
        skipped = [Skipped(each.frame.frame, reason) for each in list(self.held)[self._before :]]
        self._let_go()
        return skipped

    def _let_go(self) -> None:
        self.held.clear()
        self.last, self._before = None, 0

    def _complete(self, *, behind: int) -> list[Sample]:
        """Make the inputs of all segments that have this many frames behind them; 0 if no more frames come."""
        taken = list[Sample]()
        while (end := self._end_of_segment()) > self._before and len(self.held) - end >= behind:
            taken += self._make(end)
            gone = max(0, end - self._rules.context)
            for _ in range(gone):
                self.held.popleft()
            self._before = end - gone
        return taken

    def _end_of_segment(self) -> int:
        """Return how many frames are held up to the end of the open segment."""
        end = self._before
        while end < len(self.held) and self.held[end].slot == self.held[self._before].slot:
            end += 1
        return end

    def _make(self, end: int) -> list[Sample]:
        """Make the inputs of a segment: with more than one, all need the whole segment, so that each is made again."""
        rules, held, samples = self._rules, list(self.held), list[Sample]()
        for first in range(self._before, end, rules.middle):
            middle = range(first, min(first + rules.middle, end))
            begin = max(0, first - rules.context)
            shown = [*range(first - rules.context, first), *middle]
            shown += range(middle.stop, middle.stop + rules.frames - len(shown))
            stop = min(len(held), middle.stop + rules.context)
            frames = held[begin:stop]
            samples.append(
                Sample(
                    tuple(each.frame for each in frames),
                    tuple(held[each].frame for each in middle),
                    tuple(each.picture for each in frames),
                    ClipPlan(
                        shown=tuple(min(max(each, begin), stop - 1) - begin for each in shown),
                        places=tuple(range(rules.context, rules.context + len(middle))),
                        covers=(),
                        needs=min(each.witness for each in held[: max(stop, end)]),
                        gap="repeat",
                        least=1,
                        label=None,
                    ),
                )
            )
        return samples
