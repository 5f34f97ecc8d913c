"""The task detect: boxes to objects, and objects compared with the true boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.domain.boxes import Box, TrueBox, overlap
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import BoxVerdict, Detected, Detections, HitCounts
from worker.ports import Asked
from worker.tasks.detect import Detect

TASK = Detect(["background", "cup", "plate", "cup"], threshold=0.5, most=3)
HALF = Geometry(200, 100, scale_x=0.5, scale_y=0.5, left=0, top=0)


def outputs(boxes: Sequence[Sequence[float]], scores: Sequence[float], labels: Sequence[int]) -> dict[str, Any]:
    """Return what the head puts out for one picture."""
    arrays: dict[str, NDArray[Any]] = {
        "boxes": np.array([boxes], np.float32).reshape(1, -1, 4),
        "scores": np.array([scores], np.float32),
        "labels": np.array([labels], np.int64),
    }
    return {**arrays, "total": arrays["boxes"].sum(axis=(1, 2)) + arrays["scores"].sum(axis=1)}


def found(answer: dict[str, Any], geometry: Geometry = HALF) -> Detections:
    ((result,),) = TASK.results(TASK.check(answer, 1), [Asked(geometry, (0,))])
    return result


def test_boxes_are_told_in_pixels_of_the_picture_and_empty_places_are_left_out() -> None:
    answer = outputs([[10, 5, 30, 20], [0, 0, 8, 8], [0, 0, 0, 0]], [0.75, 0.5, 0.0], [1, 2, 0])

    assert found(answer).boxes == (
        Detected(1, "cup", 0.75, Box(20, 10, 60, 40)),
        Detected(2, "plate", 0.5, Box(0, 0, 16, 16)),
    )


def test_boxes_are_clipped_to_the_picture_and_those_in_the_padding_are_none() -> None:
    answer = outputs([[-4, 40, 300, 300], [20, 50, 60, 90]], [0.75, 0.5], [1, 2])

    assert found(answer).boxes == (Detected(1, "cup", 0.75, Box(0, 80, 200, 100)),)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (outputs([[0, 0, 1, 1]], [0.9], [4]), "classes 4 to 4, but its manifest has the classes 1 to 3"),
        (outputs([[0, 0, 1, 1]], [0.9], [0]), r"labels\[0\] is the background"),
        (outputs([[0, 0, 1, float("nan")]], [0.9], [1]), "NaN or infinity"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(answer: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        TASK.check(answer, 1)


def test_an_answer_for_another_number_of_pictures_is_refused() -> None:
    with pytest.raises(ModelContractBroken, match="answered for 1 of 2"):
        TASK.check(outputs([[0, 0, 1, 1]], [0.9], [1]), 2)


def seen(*boxes: tuple[int, float, Box]) -> Detections:
    return Detections(tuple(Detected(index, TASK.labels[index], score, box) for index, score, box in boxes))


A, NEAR_A, FAR = Box(0, 0, 100, 100), Box(0, 0, 100, 60), Box(500, 0, 600, 100)


@pytest.mark.parametrize(
    ("result", "truth", "expected"),
    [
        (seen((1, 0.9, A)), [("cup", A)], HitCounts(1, 0, 0)),
        (seen((3, 0.9, A)), [("cup", A)], HitCounts(1, 0, 0)),  # a name that two classes have
        (seen((1, 0.9, A)), [("1", A)], HitCounts(1, 0, 0)),
        (seen((2, 0.9, A)), [("cup", A)], HitCounts(0, 1, 1)),
        (seen((1, 0.9, NEAR_A), (1, 0.8, A)), [("cup", A)], HitCounts(1, 0, 1)),
        (seen((1, 0.9, NEAR_A), (1, 0.8, A)), [("cup", A), ("cup", NEAR_A)], HitCounts(2, 0, 0)),
        (seen((1, 0.9, Box(0, 0, 100, 49))), [("cup", A)], HitCounts(0, 1, 1)),
        (seen((1, 0.9, Box(0, 0, 100, 50))), [("cup", A)], HitCounts(1, 0, 0)),
        (seen((1, 0.9, FAR)), [], HitCounts(0, 0, 1)),
        (seen(), [("cup", A), ("plate", FAR)], HitCounts(0, 2, 0)),
        (seen(), [], HitCounts(0, 0, 0)),
    ],
)
def test_boxes_are_compared_by_class_and_overlap(
    result: Detections, truth: list[tuple[str, Box]], expected: HitCounts
) -> None:
    assert TASK.judge(result, GroundTruth(None, tuple(TrueBox(*each) for each in truth))) == BoxVerdict(expected)


def test_nothing_is_compared_without_true_boxes_and_unknown_labels_are_misses_with_their_names() -> None:
    assert TASK.judge(seen((1, 0.9, A)), GroundTruth("cup")) is None
    truth = (TrueBox("zebra", A), TrueBox("cup", FAR), TrueBox("zebra", FAR))

    assert TASK.judge(seen((1, 0.9, A)), GroundTruth("cup", truth)) == BoxVerdict(HitCounts(0, 3, 1), ("zebra",))


places = st.builds(lambda x, y: Box(x, y, x + 10, y + 10), st.integers(0, 12), st.integers(0, 12))


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.floats(0.5, 1), places), max_size=6),
    st.lists(st.tuples(st.sampled_from(["cup", "plate"]), places), max_size=5),
)
def test_the_counts_are_those_of_cocos_own_algorithm(
    found: list[tuple[int, float, Box]], truth: list[tuple[str, Box]]
) -> None:
    found.sort(key=lambda each: -each[1])
    hits = 0
    for index, name in ((1, "cup"), (2, "plate")):  # as pycocotools does it: class by class, over a table of overlaps
        boxes, true = [each for each in found if each[0] == index], [box for label, box in truth if label == name]
        table = np.array([[overlap(box, other) for other in true] for _, _, box in boxes]).reshape(
            len(boxes), len(true)
        )
        for row in table:
            if len(row) and row.max() >= 0.5:
                hits += 1
                table[:, row.argmax()] = -1
    verdict = TASK.judge(seen(*found), GroundTruth(None, tuple(TrueBox(*each) for each in truth)))

    assert verdict == BoxVerdict(HitCounts(hits, len(truth) - hits, len(found) - hits))
