"""The running accuracy of a partition: restored, staged, settled."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from worker.domain.extents import recency
from worker.domain.results import Outcome, Prediction
from worker.domain.tallies import DroppedTally, Tally, TallyKey
from worker.domain.times import EventMillis
from worker.ports import Saved, Staged


class RunningAccuracy:
    """The current tally of every key of one partition; implements `ports.PartitionState`.

    Staging and settling are two steps, so that nothing counts that was not delivered.
    """

    def __init__(self) -> None:
        self._tallies: dict[TallyKey, Tally] = {}
        self._former: Sequence[DroppedTally] = ()
        self._topic_id: str | None = None

    def restore(self, saved: Sequence[Saved], *, former: Sequence[Saved] = (), topic_id: str | None = None) -> None:
        """Take over what was last published; of two tallies of a key the one that includes more is kept."""
        tallies = [each for each in saved if isinstance(each, Tally)]
        for tally in sorted(tallies, key=lambda each: recency(each.topic_id, each.next_offset)):
            self._tallies[tally.key] = tally if topic_id is None else replace(tally, topic_id=topic_id)
        gone = dict.fromkeys(each.key for each in former if isinstance(each, Tally))
        self._former = [DroppedTally(key) for key in gone if key not in self._tallies]
        self._topic_id = topic_id

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
            before = staged.get(key) or self._tallies.get(key) or self._new(key, frame.captured_at)
            after = before.including(outcome)
            if after is not before:
                staged[key] = after
        return Staged(outcomes, [*self._former, *staged.values()])

    def settle(self, saved: Sequence[Any]) -> None:
        """Remember tallies whose records the broker has confirmed."""
        self._former = ()
        self._tallies.update({each.key: each for each in saved if isinstance(each, Tally)})

    def get(self, key: TallyKey) -> Tally | None:
        """Return the settled tally of a key."""
        return self._tallies.get(key)

    def tallies(self) -> list[Tally]:
        """Return every settled tally."""
        return list(self._tallies.values())

    def _new(self, key: TallyKey, since: EventMillis) -> Tally:
        return Tally(key, since=since, topic_id=self._topic_id)
