"""All that belongs to one assignment of one partition: made when it is assigned, dropped when it goes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.checkpoints import Checkpoint
from worker.domain.extents import Extent, Restored, restore
from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.results import DeadLetter, Outcome
from worker.domain.samples import Sample, Skipped
from worker.domain.times import EventMillis, Monotonic
from worker.ports import Dropped, Load, LoadPolicy, PartitionState, Sampler, Saved
from worker.stream.batcher import WindowBatcher
from worker.stream.ledger import Ledger


class Partition:
    """One partition for as long as it is assigned to this worker.

    Calls of the model hold the object. Once it is no longer current, what comes out of them is dropped, even if the
    partition has come back by then: that is another object.

    Attributes:
        name: topic and number.
        ledger: which frames are in flight.
        windows: the open batches.
        current: it is still assigned.
        restored: it knows what was saved before.
        committed: the checkpoint that the broker has stored last, as far as this worker knows.
    """

    def __init__(
        self,
        name: TopicPartition,
        *,
        sampler: Sampler,
        policy: LoadPolicy | None,
        windows: WindowBatcher,
        states: Sequence[PartitionState],
    ) -> None:
        self.name = name
        self.ledger = Ledger()
        self.windows = windows
        self.current = True
        self.restored = False
        self.committed: Checkpoint | None = None
        self._sampler = sampler
        self._policy = policy
        self._states = states

    def restore(self, committed: Checkpoint | None, saved: Sequence[Saved], found: Extent | None) -> Restored:
        """Take over what was saved before; no frame is taken until then.

        Args:
            committed: by the group; None if nothing is.
            saved: by the states.
            found: what the partition holds, asked after the others were read; None if it is not known.

        Raises:
            SourceLost: nothing is committed, and the settings do not say where to begin.
        """
        restored, kept, former = restore(committed, saved, found)
        self.ledger.restore(restored.start.checkpoint, is_new=restored.start.is_new)
        for state in self._states:
            state.restore(kept, former=former, topic_id=restored.start.checkpoint.topic_id)
        self.restored = True
        return restored

    @property
    def in_flight_bytes(self) -> int:
        """Encoded bytes of the frames that are not published, and bytes of the prepared pictures that are held."""
        return self.ledger.in_flight_bytes + self._sampler.held_bytes

    def take(self, frame: EncodedFrame, now: Monotonic, load: Load | None) -> list[Sample]:
        """Take a frame that was read; return the samples that are complete now.

        Args:
            frame: the next one in offset order.
            now: seconds for which the worker has listened.
            load: what the worker can take on; None where nothing is left out.
        """
        self.ledger.begin(frame.frame.position, frame.frame.camera, len(frame.data))
        samples = self._expect(self._sampler.take(frame, now))
        return samples if load is None else self._admit(samples, load)

    def pass_time(self, now: Monotonic, load: Load | None) -> list[Sample]:
        """Return the samples that are complete because no frame came for a while; arguments as of `take`."""
        samples = self._expect(self._sampler.pass_time(now))
        return samples if load is None else self._admit(samples, load)

    def gives_up(self, sample: Sample, wall: EventMillis, in_process: float) -> bool:
        """Tell whether the load policy leaves a sample out that has waited for its call; it is skipped then."""
        skipped = self._policy.reconsider(sample, wall, in_process) if self._policy else ()
        for each in skipped:
            self.ledger.finish(each)
        return bool(skipped)

    def release(self, room: int) -> Sequence[Sample]:
        """Return samples that the load policy has held back, as many as there is room for."""
        return self._policy.release(room) if self._policy else ()

    def relieve(self) -> list[Sample] | None:
        """Let go of some of the frames that are held; return the samples that this completes, None without any."""
        relieved = self._sampler.relieve()
        return None if relieved is None else self._expect(relieved)

    def reject(self, letter: DeadLetter) -> None:
        """Take a record that is no frame."""
        self.ledger.begin(letter.position, letter.camera, len(letter.record.value or b""))
        self.ledger.finish(letter)

    def drain(self, now: Monotonic, limits: BatchLimits, *, over: bool) -> list[Batch]:
        """Close every batch; if the frames are over, finish all that is incomplete before."""
        closed, rest = [], self._sampler.drain() if over else ()
        for sample in (*self.release(len(self.ledger)), *self._expect(rest)):
            closed += self.windows.add(sample, now, limits)
        return closed + self.windows.drain(ClosedBy.DRAIN)

    def stage(self) -> "Cut | None":
        """Return what can be published now, and what follows from it; nothing is remembered."""
        outcomes: Sequence[Outcome] = self.ledger.ready()
        if not outcomes:
            return None
        committed, saved = self.committed.next_offset if self.committed else 0, list[Sequence[Saved | Dropped]]()
        for state in self._states:
            staged = state.stage(outcomes, committed=committed)
            outcomes = staged.outcomes
            saved.append(staged.saved)
        return Cut(
            partition=self,
            outcomes=outcomes,
            saved=saved,
            checkpoint=self.ledger.stage(outcomes, self._sampler.oldest_needed()),
        )

    def checkpoint(self) -> Checkpoint | None:
        """Return what may be committed now, if anything."""
        return self.ledger.checkpoint(self._sampler.oldest_needed())

    def settle(self, cut: "Cut") -> None:
        """Remember what was published: the states and the ledger move on."""
        for state, saved in zip(self._states, cut.saved, strict=True):
            state.settle(saved)
        self.ledger.settle(cut.outcomes, cut.checkpoint)

    def _expect(self, taken: Iterable[Sample | Skipped]) -> list[Sample]:
        """Note what becomes of frames; return the samples of which something is to be published."""
        samples = []
        for each in taken:
            if isinstance(each, Skipped):
                self.ledger.finish(each)
            elif (sample := self.ledger.expect(each)) is not None:
                samples.append(sample)
        return samples

    def _admit(self, samples: list[Sample], load: Load) -> list[Sample]:
        if self._policy is None:
            return samples
        admitted = []
        for each in self._policy.admit(samples, load):
            if isinstance(each, Skipped):
                self.ledger.finish(each)
            else:
                admitted.append(each)
        return admitted


@dataclass(frozen=True, slots=True)
class Cut:
    """What one publication takes of a partition. Its parts belong together: all of them count, or none.

    Attributes:
        outcomes: what is published, in offset order.
        saved: of each state, the keys that change.
        checkpoint: what may be committed once they are published.
    """

    partition: Partition
    outcomes: Sequence[Outcome]
    saved: Sequence[Sequence[Saved | Dropped]]
    checkpoint: Checkpoint
