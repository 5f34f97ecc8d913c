"""All that `evaluate` says of a model that predicts classes, as one document."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.domain.intervals import Interval, share_interval
from worker.evaluation.calibration import Calibration, calibration
from worker.evaluation.classes import ClassScore, Pair, class_scores, confusion, mistakes, most_confused
from worker.evaluation.comparison import Comparison, compare
from worker.evaluation.judged import Judged
from worker.evaluation.run import Run
from worker.wire import AccuracyMessage

CONFUSED = 10
"""Pairs of classes that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The sums of what the worker publishes as running accuracy.

    Attributes:
        top1: the share of the labelled that is right; None of nothing.
        top5: the share of the labelled whose label is among the five most likely; None of nothing.
        top1_interval95: where the true share lies; None if the frames do not tell (`share_interval`).
    """

    seen: int
    labelled: int
    correct_top1: int
    correct_top5: int
    top1: float | None
    top5: float | None
    top1_interval95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong prediction.

    Attributes:
        offset: the frame's number among the data, from 0.
        frame: the frame's id.
    """

    offset: int
    camera: str
    frame: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """How another model does on the same frames; of the comparison, this report's model is the first."""

    model: str
    accuracy: Accuracy
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassReport:
    """The evaluation of a model that predicts classes.

    Attributes:
        model: name and version.
        rejected: dead letters by reason.
        skipped: frames that were left out by reason.
        classes: those that occur or are predicted, by index.
        confused: the most frequent mistakes.
        mistakes: those of which the model was surest.
    """

    version: int = 1
    model: str
    task: str
    data: str
    accuracy: Accuracy
    rejected: dict[str, int]
    skipped: dict[str, int]
    classes: list[ClassScore]
    confused: list[Pair]
    calibration: Calibration
    mistakes: list[Mistake]
    against: Against | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Run):
    """The run of a model that predicts one class.

    Attributes:
        rows: its labelled predictions.
        accuracy: the last accuracy message of each camera.
    """

    task: str
    rows: Sequence[Judged]
    accuracy: Sequence[AccuracyMessage]


def class_report(found: Evaluated, *, data: str, most: int) -> ClassReport:
    """Put the report of a model together.

    Args:
        found: what the worker has published.
        data: what it was evaluated on.
        most: mistakes that are listed.
    """
    labels = found.labels
    counted = confusion(found.rows, len(labels))
    return ClassReport(
        model=str(found.model),
        task=found.task,
        data=data,
        accuracy=accuracy_of(found),
        rejected=dict(Counter(found.rejected)),
        skipped=dict(Counter(found.skipped)),
        classes=class_scores(counted, labels),
        confused=most_confused(counted, labels, CONFUSED),
        calibration=calibration(found.rows),
        mistakes=[
            Mistake(
                offset=each.offset,
                camera=each.camera,
                frame=each.frame_id,
                label=labels[each.truth],
                predicted=labels[each.predicted],
                probability=each.probability,
            )
            for each in mistakes(found.rows, most)
        ],
    )


def with_rival(report: ClassReport, found: Evaluated, rival: Evaluated) -> ClassReport:
    """Add to a report how another model does on the same frames."""
    compared = compare(found.rows, rival.rows)
    return replace(report, against=Against(model=str(rival.model), accuracy=accuracy_of(rival), comparison=compared))


def accuracy_of(found: Evaluated) -> Accuracy:
    """Add up what the worker has counted of each camera."""
    labelled, top1, top5 = (
        sum(each.labelled for each in found.accuracy),
        sum(each.correct.top1 for each in found.accuracy),
        sum(each.correct.top5 for each in found.accuracy),
    )
    return Accuracy(
        seen=sum(each.seen for each in found.accuracy),
        labelled=labelled,
        correct_top1=top1,
        correct_top5=top5,
        top1=top1 / labelled if labelled else None,
        top5=top5 / labelled if labelled else None,
        top1_interval95=share_interval([each.right for each in found.rows], [each.camera for each in found.rows])
        if labelled
        else None,
    )
