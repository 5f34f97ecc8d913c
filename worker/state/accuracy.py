"""The running accuracy of a partition: restored, staged, settled."""

from collections.abc import Iterable, Sequence
from typing import Any

from worker.domain.results import Outcome, Prediction
from worker.domain.tallies import Tally, TallyKey
from worker.ports import Saved, Staged


class RunningAccuracy:
    """The current tally of every key of one partition; implements `ports.PartitionState`.

    Staging and settling are two steps, so that nothing counts that was not delivered.
    """

    def __init__(self) -> None:
        self._tallies: dict[TallyKey, Tally] = {}

    def restore(self, saved: Iterable[Saved]) -> None:
        """Take over what was last published; of two tallies of a key the one that includes more is kept."""
        for tally in saved:
            if not isinstance(tally, Tally):
                continue
            known = self._tallies.get(tally.key)
            if known is None or tally.next_offset > known.next_offset:
                self._tallies[tally.key] = tally

    def stage(self, outcomes: Sequence[Outcome], *, committed: int) -> Staged:  # noqa: ARG002 a tally is never dropped
        """Return the same outcomes, and the tallies as they will be once they, in offset order, are delivered.

        Only tallies that change are returned, and nothing is remembered until `settle`.
        """
        staged: dict[TallyKey, Tally] = {}
        for outcome in outcomes:
            if not isinstance(outcome, Prediction):
                continue
            frame = outcome.frame
            key = TallyKey(frame.position.partition, frame.camera, outcome.model)
            before = staged.get(key) or self._tallies.get(key) or Tally(key, since=frame.captured_at)
            after = before.including(outcome)
            if after is not before:
                staged[key] = after
        return Staged(outcomes, list(staged.values()))

    def settle(self, saved: Sequence[Any]) -> None:
        """Remember tallies whose records the broker has confirmed."""
        for tally in saved:
            self._tallies[tally.key] = tally

    def get(self, key: TallyKey) -> Tally | None:
        """Return the settled tally of a key."""
        return self._tallies.get(key)

    def tallies(self) -> list[Tally]:
        """Return every settled tally."""
        return list(self._tallies.values())
