"""The task `frame_values`: a value for each frame of a clip, and the frame with which the event begins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import FrameValue, Verdict
from worker.ports import Asked
from worker.tasks.frame_values import FrameValues

PICTURE = Geometry(8, 8, scale_x=1.0, scale_y=1.0, left=0, top=0)


def a_task(threshold: float = 0.5) -> FrameValues:
    return FrameValues(["none", "cut"], output="logits", threshold=threshold)


def values(*rows: list[float]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    found = np.array(rows, np.float32)
    return {"values": found, "total": found.sum(axis=1)}


def begins(row: list[float], places: range, threshold: float = 0.5) -> list[str | None]:
    (found,) = a_task(threshold).results(values(row), [Asked(PICTURE, places)])
    return [each.event for each in found]


def test_each_place_that_is_asked_for_gets_its_value() -> None:
    rows = values([0.0, 0.25, 0.75, 1.0], [1.0, 0.5, 0.0, 0.0])
    found = a_task().results(a_task().check(rows, 2), [Asked(PICTURE, (1, 2)), Asked(PICTURE, (1,))])

    assert found == [
        [FrameValue(0.25, 0.5, None, "none"), FrameValue(0.75, 0.5, "cut", "cut")],
        [FrameValue(0.5, 0.5, None, "cut")],  # the event has begun before
    ]


def test_nothing_is_known_before_the_first_place() -> None:
    assert begins([0.9, 0.9, 0.1, 0.9], range(4)) == ["cut", None, None, "cut"]


@given(st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.9]), min_size=1, max_size=12), st.sampled_from([0.25, 0.5]))
def test_an_event_begins_once_however_the_frames_are_shared_out(row: list[float], threshold: float) -> None:
    together = begins(row, range(len(row)), threshold)
    alone = [each for place in range(len(row)) for each in begins(row, range(place, place + 1), threshold)]
    above = "".join("x" if value >= threshold else " " for value in row)

    assert together == alone
    assert len([each for each in together if each]) == len(above.split())


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("cut", Verdict(top1=True, top5=True)),
        ("none", Verdict(top1=False, top5=False)),
        ("1", Verdict(top1=True, top5=True)),
        ("0", Verdict(top1=False, top5=False)),
        ("fade", None),
        (None, None),
    ],
)
def test_a_label_says_whether_there_is_the_event(label: str | None, expected: Verdict | None) -> None:
    for event in ("cut", None):
        assert a_task().judge(FrameValue(0.5, 0.5, event, "cut"), GroundTruth(label)) == expected


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([[0.5, np.nan], [0.0, 0.0]], "NaN or infinity: are its weights damaged"),
        ([[0.5, -0.1], [0.0, 0.0]], "no probabilities; say output: logits"),
        ([[0.5, 1.1], [0.0, 0.0]], "no probabilities; say output: logits"),
        ([[0.5, 0.5]], r"answered \(1, 2\) to 2 clips"),
    ],
)
def test_values_that_are_not_what_they_are_said_to_be(rows: list[list[float]], text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        a_task().check(values(*rows), 2)
    with pytest.raises(ModelContractBroken, match=r"answered \(2, 2, 1\) to 2 clips"):
        a_task().check({"values": np.zeros((2, 2, 1), np.float32), "total": np.zeros(2)}, 2)
    with pytest.raises(ModelContractBroken, match="NaN or infinity"):  # of logits, the values would be 0 or 1
        a_task().check({"values": np.ones((2, 2), np.float32), "total": np.array([1.0, np.inf])}, 2)
