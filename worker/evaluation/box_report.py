"""All that `evaluate` says of a detector, as one document."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.evaluation.boxes import (
    BoxScore,
    Looked,
    MeanPrecision,
    at_thresholds,
    box_score,
    count_boxes,
    mean_precision,
    scores_of_classes,
)
from worker.evaluation.run import Run
from worker.tasks.detect import Detect


@dataclass(frozen=True, slots=True, kw_only=True)
class Detecting(Run):
    """The run of a detector; the first of its labels is the background.

    Attributes:
        threshold: from which score on the manifest reports a box.
        seen: pictures that were looked at.
        rows: those of them whose true boxes are known, with all boxes from the lowest score on.
    """

    threshold: float
    seen: int
    rows: Sequence[Looked]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMistake:
    """A picture with mistakes: boxes that are not there, or objects that were not found.

    Attributes:
        offset: the frame's number among the data, from 0.
        surest: the highest score of a wrong box; None if all boxes are right.
    """

    offset: int
    camera: str
    frame: str
    misses: int
    false_alarms: int
    surest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRival:
    """How another detector does on the same pictures, at its own threshold."""

    model: str
    boxes: BoxScore
    mean_average_precision: MeanPrecision


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxReport:
    """The evaluation of a detector.

    Attributes:
        labelled: pictures whose true boxes are known.
        threshold: the manifest's, at which the boxes are counted.
        boxes: of all classes, as the accuracy topic counts them.
        classes: those that occur or are found, by index.
        by_threshold: what other thresholds would give.
        mistakes: the pictures with most mistakes.
    """

    version: int = 1
    model: str
    task: str = "detect"
    data: str
    seen: int
    labelled: int
    rejected: dict[str, int]
    skipped: dict[str, int]
    threshold: float
    boxes: BoxScore
    mean_average_precision: MeanPrecision
    classes: list[BoxScore]
    by_threshold: list[BoxScore]
    mistakes: list[BoxMistake]
    against: BoxRival | None = None


def box_report(found: Detecting, *, data: str, most: int) -> BoxReport:
    """Put the report of a detector together.

    Args:
        found: what the worker has published.
        data: what it was evaluated on.
        most: pictures with mistakes that are listed.
    """
    rows, labels, threshold = found.rows, found.labels, found.threshold
    return BoxReport(
        model=str(found.model),
        data=data,
        seen=found.seen,
        labelled=len(rows),
        rejected=dict(Counter(found.rejected)),
        skipped=dict(Counter(found.skipped)),
        threshold=threshold,
        boxes=box_score("all classes", count_boxes(rows, labels, threshold)),
        mean_average_precision=mean_precision(rows, labels),
        classes=scores_of_classes(rows, labels, threshold),
        by_threshold=at_thresholds(rows, labels),
        mistakes=_worst(found, most),
    )


def with_box_rival(report: BoxReport, rival: Detecting) -> BoxReport:
    """Add to a report how another detector does on the same pictures."""
    counts = count_boxes(rival.rows, rival.labels, rival.threshold)
    precision = mean_precision(rival.rows, rival.labels)
    boxes = box_score("all classes", counts)
    return replace(report, against=BoxRival(model=str(rival.model), boxes=boxes, mean_average_precision=precision))


def _worst(found: Detecting, most: int) -> list[BoxMistake]:
    mistakes = []
    for row in found.rows:
        counts = count_boxes([row], found.labels, found.threshold)
        if counts.misses or counts.false_alarms:
            mistakes.append(
                BoxMistake(
                    offset=row.offset,
                    camera=row.camera,
                    frame=row.frame_id,
                    misses=counts.misses,
                    false_alarms=counts.false_alarms,
                    surest=_surest_wrong(row, found),
                )
            )
    return sorted(mistakes, key=lambda each: (-each.misses - each.false_alarms, -(each.surest or 0), each.offset))[
        :most
    ]


def _surest_wrong(row: Looked, found: Detecting) -> float | None:
    """Return the highest score of a false alarm; None if there is none."""
    best = row.above(found.threshold).found
    chosen = Detect(found.labels, threshold=found.threshold, most=1).choose(best, row.truth)
    return next((each.score for each, true in zip(best, chosen, strict=True) if true is None), None)
