"""Running accuracy: per input partition, camera and model version.

Every tally carries the next input offset that its counts include. A frame below that offset was counted before a
crash and is not counted again when it is read again.
"""

from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.records import TopicPartition
from worker.domain.results import ModelIdentity, Prediction
from worker.domain.times import EventMillis


class TallyKey(NamedTuple):
    """Whose predictions are counted together."""

    partition: TopicPartition
    camera: str
    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over all predictions of one key whose frames lie below `next_offset`.

    Attributes:
        seen: frames predicted.
        labelled: those of them whose label names a class of the model.
        correct_top1: those of the labelled whose most likely class is the label.
        correct_top5: those of the labelled whose label is among the five most likely classes.
        since: capture time of the first frame counted, in milliseconds.
        next_offset: counts include every frame of the key below this input offset, and none at or above it.
    """

    key: TallyKey
    since: EventMillis
    seen: int = 0
    labelled: int = 0
    correct_top1: int = 0
    correct_top5: int = 0
    next_offset: int = 0

    @property
    def top1(self) -> float | None:
        """Share of labelled frames that are right, or None while nothing is labelled."""
        return self.correct_top1 / self.labelled if self.labelled else None

    @property
    def top5(self) -> float | None:
        """Share of labelled frames whose label is among the five most likely, or None."""
        return self.correct_top5 / self.labelled if self.labelled else None

    def including(self, prediction: Prediction) -> "Tally":
        """Return the tally with one more prediction; one that is included already changes nothing."""
        if prediction.position.offset < self.next_offset:
            return self
        verdict = prediction.verdict
        return Tally(
            self.key,
            self.since,
            seen=self.seen + 1,
            labelled=self.labelled + (verdict is not None),
            correct_top1=self.correct_top1 + (verdict is not None and verdict.top1),
            correct_top5=self.correct_top5 + (verdict is not None and verdict.top5),
            next_offset=prediction.position.next_offset,
        )
