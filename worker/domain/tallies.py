"""Running accuracy: per input partition, camera and model version.

Every tally carries the next input offset that its counts include. A frame below that offset was counted before a
crash and is not counted again when it is read again.
"""

from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.records import TopicPartition
from worker.domain.results import BoxCounts, BoxVerdict, ModelIdentity, Prediction, Verdict
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
        labelled: those of them whose label names a class of the model; of a detector, those whose true boxes are known.
        correct_top1: those of the labelled whose most likely class is the label.
        correct_top5: those of the labelled whose label is among the five most likely classes.
        since: capture time of the first frame counted, in milliseconds.
        boxes: of a detector, those of its labelled frames; None of any other model, and before the first such frame.
        next_offset: counts include every frame of the key below this input offset, and none at or above it.
        topic_id: the cluster's id of the topic whose frames are counted; None if it is not known.
    """

    key: TallyKey
    since: EventMillis
    seen: int = 0
    labelled: int = 0
    correct_top1: int = 0
    correct_top5: int = 0
    next_offset: int = 0
    boxes: BoxCounts | None = None
    topic_id: str | None = None

    @property
    def top1(self) -> float | None:
        """Share of labelled frames that are right, or None while nothing is labelled, and of a detector."""
        return self.correct_top1 / self.labelled if self.labelled and self.boxes is None else None

    @property
    def top5(self) -> float | None:
        """Share of labelled frames whose label is among the five most likely, or None as for `top1`."""
        return self.correct_top5 / self.labelled if self.labelled and self.boxes is None else None

    def including(self, prediction: Prediction) -> "Tally":
        """Return the tally with one more prediction; one that is included already changes nothing."""
        if prediction.position.offset < self.next_offset:
            return self
        verdict = prediction.verdict
        found = verdict.counts if isinstance(verdict, BoxVerdict) else None
        classes = verdict if isinstance(verdict, Verdict) else None
        return Tally(
            self.key,
            self.since,
            seen=self.seen + 1,
            labelled=self.labelled + (verdict is not None),
            correct_top1=self.correct_top1 + (classes is not None and classes.top1),
            correct_top5=self.correct_top5 + (classes is not None and classes.top5),
            next_offset=prediction.position.next_offset,
            boxes=found.plus(self.boxes or BoxCounts()) if found else self.boxes,
            topic_id=self.topic_id,
        )


@dataclass(frozen=True, slots=True)
class DroppedTally:
    """A tally of frames that are no longer there, which is to be deleted."""

    key: TallyKey
