"""The task segment: classes of places to shares of the picture, and masks of the part that the model sees."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.domain.boxes import Box
from worker.domain.errors import ModelContractBroken, ModelUnavailable
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry, resize_and_crop
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import AreaShare, Segmentation
from worker.ports import Asked, Task
from worker.tasks.segment import Segment

LABELS = ("background", "cat", "dog")
WHOLE = Geometry(64, 32, scale_x=0.5, scale_y=0.5, left=0, top=0)
"""Of an input of 32 x 16."""


def segmented(classes: NDArray[np.uint8], geometry: Geometry, size: tuple[int, int], *, masks: bool) -> Segmentation:
    task = Segment(LABELS, input_size=size, masks=masks)
    checked = task.check({"classes": classes[None], "total": np.ones(1)}, 1)
    ((result,),) = task.results(checked, [Asked(geometry, (0,))])
    return result


def pixels_of(result: Segmentation) -> NDArray[np.uint8]:
    assert result.mask is not None
    return np.asarray(cv2.imdecode(np.frombuffer(result.mask.png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def test_shares_are_counted_and_classes_without_area_are_left_out() -> None:
    classes = np.zeros((4, 8), np.uint8)
    classes[:3, :] = 2
    result = segmented(classes, WHOLE, (16, 32), masks=False)

    assert result == Segmentation((AreaShare(2, "dog", 0.75), AreaShare(0, "background", 0.25)))


def test_the_padding_counts_for_nothing() -> None:
    numbers = Preprocessing(
        resize=(16, 32), crop=(16, 32), interpolation="bilinear", antialias=True, mean=(0,) * 3, std=(1,) * 3, pad=True
    )
    tall = resize_and_crop((100, 100), (100, 100), numbers)  # 16 of 32 columns
    classes = np.full((8, 16), 2, np.uint8)
    classes[:, :8] = [[1]] * 8
    result = segmented(classes, tall, (16, 32), masks=True)

    assert result.shares == (AreaShare(1, "cat", 1.0),)
    assert np.array_equal(pixels_of(result), np.ones((8, 8)))
    assert result.mask
    assert result.mask.covers == Box(0, 0, 100, 100)


def test_padding_on_both_sides_counts_for_nothing() -> None:
    numbers = Preprocessing(
        resize=(16, 32),
        crop=(16, 32),
        interpolation="bilinear",
        antialias=True,
        mean=(0,) * 3,
        std=(1,) * 3,
        pad="center",
    )
    tall = resize_and_crop((100, 100), (100, 100), numbers)  # the middle 16 of 32 columns
    classes = np.full((8, 16), 2, np.uint8)
    classes[:, 4:12] = 1
    result = segmented(classes, tall, (16, 32), masks=True)

    assert result.shares == (AreaShare(1, "cat", 1.0),)
    assert np.array_equal(pixels_of(result), np.ones((8, 8)))
    assert result.mask
    assert result.mask.covers == Box(0, 0, 100, 100)


def test_a_mask_covers_what_the_crop_has_left() -> None:
    cropped = Geometry(640, 480, scale_x=0.5, scale_y=0.5, left=40, top=0)  # 320 x 240, the middle 240 of it
    classes = np.arange(9, dtype=np.uint8).reshape(3, 3) % 3
    result = segmented(classes, cropped, (240, 240), masks=True)

    assert np.array_equal(pixels_of(result), classes)
    assert result.mask
    assert result.mask.covers == Box(80, 0, 560, 480)


def test_a_strip_keeps_at_least_one_row() -> None:
    strip = Geometry(3200, 10, scale_x=0.01, scale_y=0.1, left=0, top=0)
    result = segmented(np.ones((4, 4), np.uint8), strip, (32, 32), masks=True)

    assert pixels_of(result).shape == (1, 4)
    assert result.mask
    assert result.mask.covers == Box(0, 0, 3200, 10)


def test_too_many_classes_for_a_mask_are_refused() -> None:
    Segment(["x"] * 256, input_size=(8, 8), masks=True)
    with pytest.raises(ModelUnavailable, match=r"at most 256 classes.*257 labels"):
        Segment(["x"] * 257, input_size=(8, 8), masks=False)


def test_an_answer_that_cannot_be_right_is_refused() -> None:
    task = Segment(LABELS, input_size=(8, 8), masks=False)
    for classes, total, text in (
        (np.zeros((1, 4, 4)), np.array([np.nan]), "NaN or infinity"),
        (np.zeros((2, 4, 4)), np.ones(2), r"answered \(2, 4, 4\) to 1 pictures"),
    ):
        with pytest.raises(ModelContractBroken, match=text):
            task.check({"classes": classes.astype(np.uint8), "total": total}, 1)


def test_nothing_is_compared() -> None:
    task: Task = Segment(LABELS, input_size=(8, 8), masks=False)
    assert task.judge(Segmentation(()), GroundTruth("cat", ())) is None
