"""What `evaluate` counts of a detector, compared with what pycocotools counts through torchmetrics."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.detection import MeanAveragePrecision

from worker.domain.boxes import Box, TrueBox
from worker.domain.results import Detected, ModelIdentity
from worker.evaluation.box_report import Detecting, box_report, with_box_rival
from worker.evaluation.boxes import Looked, count_boxes, mean_precision, scores_of_classes

LABELS = ("__background__", "cup", "cat")
CUP = Box(10, 10, 30, 30)
NEAR, FAR = Box(12, 10, 32, 30), Box(50, 50, 60, 60)


def looked(found: Sequence[tuple[str, float, Box]], truth: Sequence[tuple[str, Box]], offset: int = 0) -> Looked:
    detected = tuple(Detected(LABELS.index(name), name, score, box) for name, score, box in found)
    by_score = tuple(sorted(detected, key=lambda each: -each.score))
    return Looked(offset, "gate", f"frame-{offset}", by_score, tuple(TrueBox(*each) for each in truth))


sides = st.integers(0, 6)
boxes = st.builds(
    lambda x, y, w, h: Box(10 * x, 10 * y, 10 * (x + w + 1), 10 * (y + h + 1)), sides, sides, sides, sides
)
names = st.sampled_from(LABELS[1:])
scenes = st.lists(
    st.tuples(
        st.lists(st.tuples(names, st.sampled_from([number / 100 for number in range(5, 100)]), boxes), max_size=5),
        st.lists(st.tuples(names, boxes), max_size=4),
    ),
    min_size=1,
    max_size=5,
).map(lambda drawn: [looked(found, truth, number) for number, (found, truth) in enumerate(drawn)])


@settings(max_examples=30, deadline=None)
@given(scenes)
def test_recall_by_class_is_that_of_coco(rows: list[Looked]) -> None:
    # COCO goes through boxes of one score in another order, so scores must differ.
    rows = [
        replace(
            row, found=tuple(each._replace(score=each.score - number / 1e4) for number, each in enumerate(row.found))
        )
        for row in rows
    ]
    metric = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True)
    for row in rows:
        found = [(each.index, each.box) for each in row.found]
        truth = [(LABELS.index(each.label), each.box) for each in row.truth]
        metric.update(
            [{**tensors(found), "scores": torch.tensor([each.score for each in row.found])}], [tensors(truth)]
        )
    theirs = metric.compute()
    recalls = dict(zip(theirs["classes"].view(-1).tolist(), theirs["mar_100_per_class"].view(-1).tolist(), strict=True))
    for score in scores_of_classes(rows, LABELS, 0.0):
        expected = recalls[LABELS.index(score.name)]
        assert score.recall == (pytest.approx(expected) if expected >= 0 else None)


def tensors(found: Sequence[tuple[int, Box]]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor([box for _, box in found], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([index for index, _ in found], dtype=torch.int64),
    }


def test_boxes_below_the_threshold_count_for_the_average_precision_alone() -> None:
    rows = [looked([("cup", 0.9, NEAR), ("cup", 0.3, FAR)], [("cup", CUP), ("cup", FAR)])]

    assert count_boxes(rows, LABELS, 0.5) == (1, 1, 0)
    assert count_boxes(rows, LABELS, 0.2) == (2, 0, 0)
    (cup,) = scores_of_classes(rows, LABELS, 0.5)
    assert (cup.name, cup.recall, cup.average_precision) == ("cup", 0.5, 1.0)
    assert mean_precision(rows, LABELS).at_50 == 1.0


def test_nothing_to_compare_with_is_no_number() -> None:
    found = mean_precision([looked([], [])], LABELS)
    assert (found.coco, found.at_50, found.at_75) == (None, None, None)
    assert scores_of_classes([looked([], [])], LABELS, 0.5) == []


def test_a_true_box_of_an_unknown_class_is_missed() -> None:
    row = replace(looked([("cup", 0.9, CUP)], [("cup", CUP)]), truth=(TrueBox("cup", CUP), TrueBox("dog", FAR)))
    assert count_boxes([row], LABELS, 0.5) == (1, 1, 0)
    assert mean_precision([row], LABELS).at_50 == 1.0


def test_a_report_begins_with_the_worst_pictures() -> None:
    rows = [
        looked([("cup", 0.9, NEAR)], [("cup", CUP)], 0),
        looked([("cup", 0.95, CUP), ("cup", 0.9, FAR)], [("cup", CUP)], 1),
        looked([("cat", 0.6, CUP)], [("cup", CUP)], 2),
        looked([("cup", 0.4, CUP)], [("cup", CUP)], 3),
    ]
    model = ModelIdentity("finder", "0" * 12)
    found = Detecting(model=model, labels=LABELS, threshold=0.5, seen=5, rows=rows, rejected=["truncated"])
    report = box_report(found, data="here", most=2)

    assert (report.labelled, report.boxes.hits, report.boxes.misses, report.boxes.false_alarms) == (4, 2, 2, 2)
    assert [(each.offset, each.misses, each.false_alarms, each.surest) for each in report.mistakes] == [
        (2, 1, 1, 0.6),
        (1, 0, 1, 0.9),
    ]
    assert report.rejected == {"truncated": 1}
    rival = with_box_rival(report, replace(found, threshold=0.3)).against
    assert rival is not None
    assert (rival.boxes.hits, rival.boxes.misses) == (3, 1)
