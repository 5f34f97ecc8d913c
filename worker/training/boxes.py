"""How good a detector is: which boxes it found at an IoU of 0.5, and the mean average precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from worker.domain.boxes import Box, match
from worker.training.metrics import Share, share_of

THRESHOLDS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""For which the card says how many boxes are right, and how many are found."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a detector found in one picture, and what is there.

    Attributes:
        group: the camera or video that the picture is from.
        boxes: found, (n, 4), left, top, right, bottom.
        labels: their classes, (n,).
        scores: (n,), from 0 to 1.
        true_boxes: (m, 4).
        true_labels: (m,).
    """

    group: str
    boxes: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    true_boxes: torch.Tensor
    true_labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class BoxFigures:
    """How good a detector is.

    Attributes:
        precision: of the boxes that reach the threshold, those that are right.
        recall: of the true boxes, those that were found.
        by_class: (name, precision, recall) of each class.
        by_threshold: (threshold, precision, recall) of some thresholds, to choose one by.
        map_50: mean average precision at an IoU of 0.5, over all scores.
        map: the mean of ten IoUs from 0.5 to 0.95, as COCO has it.
    """

    precision: Share
    recall: Share
    by_class: tuple[tuple[str, Share, Share], ...]
    by_threshold: tuple[tuple[float, Share, Share], ...]
    map_50: float
    map: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """One box: whether a partner was found for it."""

    group: str
    label: int
    matched: bool


def box_figures(seen: Sequence[Seen], names: Sequence[str], *, threshold: float) -> BoxFigures:
    """Judge a detector.

    Args:
        seen: of all held-out pictures.
        names: of the classes; the first is the background.
        threshold: scores from which on a box is reported.
    """
    found, true = _judge(seen, threshold)
    by_class = tuple((name, _share(found, index), _share(true, index)) for index, name in enumerate(names[1:], start=1))
    judged = [(each, *_judge(seen, each)) for each in THRESHOLDS]
    by_threshold = tuple((each, _share(found_then), _share(true_then)) for each, found_then, true_then in judged)
    map_50, mean = average_precision(seen)
    return BoxFigures(_share(found), _share(true), by_class, by_threshold, map_50, mean)


def _judge(seen: Sequence[Seen], threshold: float) -> tuple[list[_Judged], list[_Judged]]:
    """Return all found boxes that reach the threshold, and all true ones, each with whether it has a partner."""
    found, true = list[_Judged](), list[_Judged]()
    for each in seen:
        hits, caught = match_boxes(each, threshold)
        kept = each.labels[each.scores >= threshold].tolist()
        found += [_Judged(each.group, label, hit) for label, hit in zip(kept, hits, strict=True)]
        true += [_Judged(each.group, label, hit) for label, hit in zip(each.true_labels.tolist(), caught, strict=True)]
    return found, true


def match_boxes(seen: Seen, threshold: float) -> tuple[list[bool], list[bool]]:
    """Match found boxes with true ones of the same class, the surest first; each true box once.

    Returns:
        For each found box that reaches the threshold, in the order given, whether it is right; and for each true box,
        whether it was found.
    """
    scores, labels, true_labels = seen.scores.tolist(), seen.labels.tolist(), seen.true_labels.tolist()
    kept = [index for index, score in enumerate(scores) if score >= threshold]
    order = sorted(kept, key=lambda each: -scores[each])
    chosen = match(
        [Box(*seen.boxes[index].tolist()) for index in order],
        lambda found, true: bool(labels[order[found]] == true_labels[true]),
        [Box(*row) for row in seen.true_boxes.tolist()],
    )
    right = dict(zip(order, chosen, strict=True))
    caught = set(chosen)
    return [right[index] is not None for index in kept], [number in caught for number in range(len(true_labels))]


def average_precision(seen: Sequence[Seen]) -> tuple[float, float]:
    """Return the mean average precision at an IoU of 0.5, and over IoUs from 0.5 to 0.95; 0 if there are no boxes."""
    from torchmetrics.detection import MeanAveragePrecision  # noqa: PLC0415 - need not be installed for other tasks

    metric = MeanAveragePrecision(box_format="xyxy", iou_type="bbox")
    metric.warn_on_many_detections = False  # detectors return hundreds of boxes with tiny scores; COCO counts 100
    metric.update(
        [{"boxes": each.boxes, "scores": each.scores, "labels": each.labels} for each in seen],
        [{"boxes": each.true_boxes, "labels": each.true_labels} for each in seen],
    )
    found = metric.compute()
    return max(0.0, float(found["map_50"])), max(0.0, float(found["map"]))


def _share(judged: Sequence[_Judged], label: int | None = None) -> Share:
    chosen = [each for each in judged if label is None or each.label == label]
    return share_of([each.matched for each in chosen], [each.group for each in chosen])
