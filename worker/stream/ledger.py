"""Which frames of a partition are in flight, which results may leave, and how far the partition may be committed.

Frames finish out of order, because windows do. Results still leave in the order of their camera: a result is
`ready` once every earlier frame of its camera has one too. So consumers see each camera in order, each camera's tally
includes all its frames below one offset, and no camera waits for another.

    offset       10   11   12   13
    camera        a    b    a    a
    finished           x    x    x     ready: 11
                                       12 and 13 wait for 10, which is of the same camera
    checkpoint: commit 10, and say that 11 is published
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from worker.domain.checkpoints import SPAN, Checkpoint
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.records import Position
from worker.domain.results import Outcome
from worker.domain.samples import Sample, Skipped

_by_offset = attrgetter("position.offset")


@dataclass(slots=True)
class _Entry:
    """A frame that is not published.

    Attributes:
        needs: the oldest offset that must be read again to make its result again.
    """

    camera: str
    size: int
    needs: int
    outcome: Outcome | None = None


class Ledger:
    """The frames of one partition, from being read to being published and committed.

    Attributes:
        in_flight_bytes: encoded bytes of all frames that are not published.
    """

    def __init__(self) -> None:
        self.in_flight_bytes = 0
        self._topic_id: str | None = None
        self._has_moved = False
        self._published_unread = set[int]()  # by the mark, and not read again yet
        self._next = 0
        self._kept: deque[int] = deque()  # what was read, from the checkpoint on
        self._open: dict[int, _Entry] = {}
        self._cameras: dict[str, deque[_Entry]] = {}
        self._ready: list[Outcome] = []

    def __len__(self) -> int:
        """Count the frames that were begun and not settled."""
        return len(self._open)

    def restore(self, checkpoint: Checkpoint, *, is_new: bool = False) -> None:
        """Take over where to begin, and what is published beyond.

        Args:
            checkpoint: as the partition's last owner committed it, or as it is now.
            is_new: it is not committed yet.
        """
        self._next, self._topic_id, self._has_moved = checkpoint.next_offset, checkpoint.topic_id, is_new
        self._published_unread = set(checkpoint.published)

    def pass_to(self, end: int) -> None:
        """Note that no frame lies below an offset but those that were begun: other records take offsets too."""
        if end > self._next:
            self._next, self._has_moved = end, True

    def begin(self, position: Position, camera: str, size: int) -> None:
        """Note that a frame of `size` bytes was read. One that was published before a restart is context only.

        Raises:
            ValueError: it does not lie behind everything begun before; reading went backwards.
        """
        offset = position.offset
        if offset < self._next:
            raise ValueError(f"{position} was read again: everything below offset {self._next} was read before")
        self._next = offset + 1
        self._kept.append(offset)
        if offset in self._published_unread:
            self._published_unread.discard(offset)
            self._has_moved = True
        else:
            entry = self._open[offset] = _Entry(camera, size, needs=offset)
            self._cameras.setdefault(camera, deque()).append(entry)
            self.in_flight_bytes += size

    def expect(self, sample: Sample) -> Sample | None:
        """Note what a sample needs until its frames are published.

        Returns:
            The sample without answers that are published; a clip as a whole, with what is published of it. None if all
            of it is.
        """
        clip = sample.clip
        if clip is None:
            if len(sample.frames) == 1 and self._is_open(sample.newest.frame):
                return sample  # it needs itself
            answers = self._expect(sample.answers, sample.frames[0].frame.position.offset)
            if len(answers) == len(sample.answers):
                return sample
            return replace(sample, answers=answers) if answers else None
        new = (*clip.covers, *sample.answers)
        expected = self._expect(new, clip.needs)
        if len(expected) == len(new):
            return sample
        published = {each.frame.position.offset for each in new} - {each.frame.position.offset for each in expected}
        return replace(sample, clip=clip._replace(published=frozenset(published))) if expected else None

    def _expect(self, frames: Iterable[EncodedFrame], oldest: int) -> tuple[EncodedFrame, ...]:
        """Note what these frames need; return those that are not published."""
        found = []
        for each in frames:
            entry = self._open.get(each.frame.position.offset)
            if entry is not None:
                self._need(entry, oldest)
                found.append(each)
        return tuple(found)

    def _need(self, entry: _Entry, oldest: int) -> None:
        # What lies below the checkpoint cannot be read again.
        entry.needs = min(entry.needs, max(oldest, self._kept[0]))

    def _is_open(self, frame: Frame) -> bool:
        return frame.position.offset in self._open

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a frame; of one that is published already nothing more becomes."""
        entry = self._open.get(outcome.position.offset)
        if entry is None:
            return
        entry.outcome = outcome
        if isinstance(outcome, Skipped) and outcome.needs is not None:
            self._need(entry, outcome.needs)
        queue = self._cameras[entry.camera]
        while queue and (ready := queue[0].outcome) is not None:
            queue.popleft()
            self._ready.append(ready)
        if not queue:
            del self._cameras[entry.camera]

    def has_ready(self) -> bool:
        """Tell whether `ready` has anything to return, without gathering it."""
        return any(outcome.position.offset < self._end for outcome in self._ready)

    def ready(self) -> list[Outcome]:
        """Return, in offset order, the outcomes that no earlier frame of their camera holds back.

        Those that lie too far beyond the checkpoint for its mark wait until it moves.
        """
        if not self._ready:
            return []
        end = self._end
        return sorted((outcome for outcome in self._ready if outcome.position.offset < end), key=_by_offset)

    def checkpoint(self, needed: int | None) -> Checkpoint | None:
        """Return what may be committed now, and forget what lies below; None as long as that is where reading began.

        Args:
            needed: the oldest offset that later samples need, if any.
        """
        if not self._has_moved:
            return None
        checkpoint = self.stage((), needed)
        self._forget_below(checkpoint.next_offset)
        return checkpoint

    def stage(self, outcomes: Sequence[Outcome], needed: int | None) -> Checkpoint:
        """Return the checkpoint as it will be once these outcomes are published.

        Args:
            outcomes: from `ready`.
            needed: the oldest offset that later samples need, if any.
        """
        leaving = {outcome.position.offset for outcome in outcomes}
        needs = [entry.needs for offset, entry in self._open.items() if offset not in leaving]
        low = min([self._next, *needs] if needed is None else [self._next, needed, *needs])
        beyond = (offset for offset in self._kept if offset >= low)
        published = (offset for offset in beyond if offset in leaving or offset not in self._open)
        unread = (offset for offset in self._published_unread if offset >= low)  # others were deleted meanwhile
        return Checkpoint(low, frozenset((*published, *unread)), self._topic_id)

    def settle(self, outcomes: Sequence[Outcome], checkpoint: Checkpoint) -> None:
        """Note that the broker has confirmed these outcomes; only now are they forgotten."""
        for outcome in outcomes:
            self.in_flight_bytes -= self._open.pop(outcome.position.offset).size
        self._ready = [outcome for outcome in self._ready if outcome.position.offset in self._open]
        self._has_moved = True
        self._forget_below(checkpoint.next_offset)

    def _forget_below(self, next_offset: int) -> None:
        while self._kept and self._kept[0] < next_offset:
            self._kept.popleft()

    @property
    def _end(self) -> int:
        return self._kept[0] + SPAN
