"""Running accuracy: per input partition, camera and model version.

Every tally carries the next input offset that its counts include. A frame below that offset was counted before a
crash and is not counted again when it is read again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.domain.records import TopicPartition
from worker.domain.results import AnyVerdict, BoxVerdict, HitCounts, ModelIdentity, NamedVerdict, Prediction, Verdict
from worker.domain.times import EventMillis


class TallyKey(NamedTuple):
    """Whose predictions are counted together."""

    partition: TopicPartition
    camera: str
    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class NamedCounts:
    """How right predictions of several classes are, over many frames.

    Attributes:
        exact: frames whose prediction names the classes of the label, and no others.
        jaccard: the sum of the frames' Jaccard indices: the share of the classes in either that are in both.
        classes: by the name of each class that was named or is in a label.
    """

    exact: int = 0
    jaccard: float = 0.0
    classes: Mapping[str, HitCounts] = field(default_factory=dict)

    def including(self, verdict: NamedVerdict) -> "NamedCounts":
        """Return the counts with one more frame."""
        classes = dict(self.classes)
        for names, one in zip(verdict, _ONE_EACH, strict=True):
            for name in names:
                classes[name] = one.plus(classes.get(name, _NOTHING))
        return NamedCounts(self.exact + verdict.exact, self.jaccard + verdict.jaccard, classes)


_NOTHING = HitCounts()
_ONE_EACH = (HitCounts(hits=1), HitCounts(misses=1), HitCounts(false_alarms=1))


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
        named: of a model that names several classes; None as of `boxes`.
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
    boxes: HitCounts | None = None
    named: NamedCounts | None = None
    topic_id: str | None = None

    @property
    def top1(self) -> float | None:
        """Share of labelled frames that are right; None of none, and where no class is the most likely one."""
        return self._share(self.correct_top1)

    @property
    def top5(self) -> float | None:
        """Share of labelled frames whose label is among the five most likely, or None as for `top1`."""
        return self._share(self.correct_top5)

    def including(self, prediction: Prediction) -> "Tally":
        """Return the tally with one more prediction; one that is included already changes nothing."""
        if prediction.position.offset < self.next_offset:
            return self
        verdict = prediction.verdict
        classes = verdict if isinstance(verdict, Verdict) else None
        boxes, named = self.boxes, self.named
        if verdict is not classes:
            boxes, named = self._including_others(verdict)
        return Tally(
            self.key,
            self.since,
            seen=self.seen + 1,
            labelled=self.labelled + (verdict is not None),
            correct_top1=self.correct_top1 + (classes is not None and classes.top1),
            correct_top5=self.correct_top5 + (classes is not None and classes.top5),
            next_offset=prediction.position.next_offset,
            boxes=boxes,
            named=named,
            topic_id=self.topic_id,
        )

    def _including_others(self, verdict: AnyVerdict | None) -> tuple[HitCounts | None, NamedCounts | None]:
        """Return the counts of models that say more than one most likely class."""
        match verdict:
            case BoxVerdict(counts=counts):
                return counts.plus(self.boxes or _NOTHING), self.named
            case NamedVerdict():
                return self.boxes, (self.named or NamedCounts()).including(verdict)
        return self.boxes, self.named

    def _share(self, correct: int) -> float | None:
        ranked = self.labelled and self.boxes is None and self.named is None
        return correct / self.labelled if ranked else None


@dataclass(frozen=True, slots=True)
class DroppedTally:
    """A tally of frames that are no longer there, which is to be deleted."""

    key: TallyKey
