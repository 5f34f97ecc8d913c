"""How well a detector finds what is there: counts at a threshold, by class, and over all thresholds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import GroundTruth
from worker.domain.results import Detected, Detections, HitCounts
from worker.evaluation.run import HitScore
from worker.tasks.class_names import ClassNames
from worker.tasks.detect import Detect
from worker.wire import DetectionMessage

THRESHOLDS: Final = tuple(round(number / 20, 2) for number in range(1, 20))
"""Thresholds at which precision and recall are told."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture with its true boxes, and what a detector has found in it.

    Attributes:
        offset: of the frame.
        found: by falling score.
    """

    offset: int
    camera: str
    frame_id: str
    found: tuple[Detected, ...]
    truth: tuple[TrueBox, ...]

    def above(self, threshold: float) -> "Looked":
        """Return it without the boxes of a lower score."""
        return replace(self, found=tuple(each for each in self.found if each.score >= threshold))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxScore(HitScore):
    """How many boxes are right.

    Attributes:
        average_precision: at an intersection over union of 0.5, over all thresholds; None if there are no true boxes.
    """

    average_precision: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPrecision:
    """Mean average precision over the classes that occur, as the COCO benchmark computes it; None of nothing.

    Attributes:
        coco: the mean over intersections over union of 0.5, 0.55, ... 0.95.
        at_50: at 0.5.
        at_75: at 0.75.
    """

    coco: float | None
    at_50: float | None
    at_75: float | None


def looked_at(messages: Iterable[DetectionMessage]) -> Iterator[Looked]:
    """Yield what was found in the frames whose true boxes are known."""
    for message in messages:
        if message.truth is not None:
            yield Looked(
                message.frame.offset,
                message.frame.camera,
                message.frame.id,
                tuple(Detected(each.index, each.name, each.score, Box(*each.box)) for each in message.boxes),
                tuple(TrueBox(each.label, Box(*each.box)) for each in message.truth),
            )


def count_boxes(rows: Iterable[Looked], labels: Sequence[str], threshold: float) -> HitCounts:
    """Count as the worker does at a threshold: the boxes choose by falling score, so lower ones change nothing."""
    task, total = Detect(labels, threshold=threshold, most=1), HitCounts()
    for row in rows:
        verdict = task.judge(Detections(row.above(threshold).found), GroundTruth(boxes=row.truth))
        total = total.plus(verdict.counts) if verdict else total
    return total


def box_score(name: str, counts: HitCounts, average_precision: float | None = None) -> BoxScore:
    """Return counts with their shares."""
    return BoxScore(
        name=name,
        **counts._asdict(),
        precision=counts.precision,
        recall=counts.recall,
        f1=counts.f1,
        average_precision=average_precision,
    )


def scores_of_classes(rows: Sequence[Looked], labels: Sequence[str], threshold: float) -> list[BoxScore]:
    """Return the score of each class that occurs or is found, by index; the background is none."""
    names, precisions = ClassNames(labels), _precision_of_classes(rows, labels)
    scores = []
    for index, name in enumerate(labels[1:], start=1):
        of_class = [_of_class(row, index, names) for row in rows]
        counts = count_boxes(of_class, labels, threshold)
        if any(counts):
            scores.append(box_score(name, counts, precisions.get(index)))
    return scores


def at_thresholds(rows: Sequence[Looked], labels: Sequence[str]) -> list[BoxScore]:
    """Return the score at each of `THRESHOLDS`, which is its name."""
    return [box_score(f"{each:.2f}", count_boxes(rows, labels, each)) for each in THRESHOLDS]


def mean_precision(rows: Sequence[Looked], labels: Sequence[str]) -> MeanPrecision:
    """Return the mean average precision, by torchmetrics; true boxes of unknown classes are left out."""
    found = _measured(rows, labels)
    values = [float(found[name]) for name in ("map", "map_50", "map_75")]
    coco, at_50, at_75 = (value if value >= 0 else None for value in values)  # -1 of nothing
    return MeanPrecision(coco=coco, at_50=at_50, at_75=at_75)


def _of_class(row: Looked, index: int, names: ClassNames) -> Looked:
    found = tuple(each for each in row.found if each.index == index)
    return replace(row, found=found, truth=tuple(each for each in row.truth if index in names.indices(each.label)))


def _precision_of_classes(rows: Sequence[Looked], labels: Sequence[str]) -> dict[int, float]:
    found = _measured(rows, labels, iou=0.5, by_class=True)
    classes, values = np.atleast_1d(found["classes"].numpy()), np.atleast_1d(found["map_per_class"].numpy())
    pairs = zip(classes.tolist(), values.tolist(), strict=True)
    return {index: value for index, value in pairs if value >= 0}


def _measured(
    rows: Sequence[Looked], labels: Sequence[str], *, iou: float | None = None, by_class: bool = False
) -> dict[str, torch.Tensor]:
    from torchmetrics.detection import MeanAveragePrecision  # noqa: PLC0415 - need not be installed for other tasks

    names = ClassNames(labels)
    metric = MeanAveragePrecision(iou_thresholds=None if iou is None else [iou], class_metrics=by_class)
    metric.warn_on_many_detections = False  # COCO counts a hundred boxes of a picture
    for row in rows:
        known = [(min(indices), each.box) for each in row.truth if (indices := names.indices(each.label))]
        found = [(each.index, each.box) for each in row.found]
        metric.update(
            [_boxes(found) | {"scores": torch.tensor([each.score for each in row.found])}],
            [_boxes(known)],
        )
    measured: dict[str, torch.Tensor] = metric.compute()
    return measured


def _boxes(found: Sequence[tuple[int, Box]]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor([box for _, box in found], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([index for index, _ in found], dtype=torch.int64),
    }
