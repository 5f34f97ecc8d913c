"""The task `classify`: what an engine answers becomes ranked classes, compared with a label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.arrays import Arrays, join
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.preprocessing import Output
from worker.domain.results import ScoredClass, Verdict
from worker.ports import Asked
from worker.tasks.classify import OUTPUTS, Classify

ONE = Asked(Geometry(8, 8, scale_x=1.0, scale_y=1.0, left=0, top=0), (0,))


def answer(rows: list[list[float]], k: int = 7) -> Arrays:
    """Return what an engine might that knows nothing of ties: it takes the higher index first."""
    scores = np.array(rows, np.float32)
    order = scores.shape[1] - 1 - np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :k]
    ranked = np.take_along_axis(scores, order, axis=1)
    return dict(zip(OUTPUTS, (order, ranked, scores.sum(axis=1), scores.min(axis=1)), strict=True))


def a_task(classes: int = 7, *, output: Output = "logits", top_k: int = 7) -> Classify:
    return Classify([f"class {number}" for number in range(classes)], output=output, top_k=top_k)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]), min_size=7, max_size=7))
def test_ranking_is_by_probability_and_then_by_index(row: list[float]) -> None:
    ranked = a_task().check(answer([row]), 1)

    assert ranked["indices"][0].tolist() == sorted(range(7), key=lambda index: (-row[index], index))
    assert ranked["probabilities"][0].tolist() == [np.float32(each) for each in sorted(row, reverse=True)]
    assert (ranked["indices"].dtype, ranked["probabilities"].dtype.name) == (np.dtype(np.intp), "float32")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([[0.5, np.nan]], "NaN or infinity"),
        ([[0.5, 0.5], [-np.inf, 0.0]], "NaN or infinity"),
        ([[0.5, 0.5], [0.5, 0.0]], "no probabilities; say output: logits"),
        ([[1.5, -0.5]], "no probabilities"),
    ],
)
def test_scores_that_are_not_what_they_are_said_to_be(rows: list[list[float]], text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        a_task(2, output="probabilities").check(answer(rows), len(rows))


def test_an_answer_for_another_number_of_pictures() -> None:
    with pytest.raises(ModelContractBroken, match="answered for 1 of 2 pictures"):
        a_task(2).check(answer([[0.5, 0.5]]), 2)


def test_parts_are_joined_in_order() -> None:
    first, second = (a_task(2).check(answer([[share, 1 - share]]), 1) for share in (0.25, 0.75))

    assert join([first, second])["indices"].tolist() == [[1, 0], [0, 1]]
    assert join([first]) is first
    assert join([]) == {}


@pytest.mark.parametrize(("classes", "top_k", "kept"), [(7, 1, 5), (7, 6, 6), (7, 9, 7), (3, 1, 3)])
def test_enough_classes_are_kept_for_the_prediction_and_for_its_verdict(classes: int, top_k: int, kept: int) -> None:
    assert a_task(classes, top_k=top_k).kept == kept


def test_a_result_names_as_many_classes_as_were_asked_for_and_is_judged_by_five() -> None:
    task = a_task(top_k=2)
    outputs = task.check(answer([[0.1, 0.4, 0.3, 0.0, 0.05, 0.15, 0.0]], k=task.kept), 1)
    ((result,),) = task.results(outputs, [ONE])

    expected = (float(np.float32(0.4)), float(np.float32(0.3)))
    assert result.classes == (ScoredClass(1, "class 1", expected[0]), ScoredClass(2, "class 2", expected[1]))
    assert result.ranking == (1, 2, 5, 0, 4)


BIRDS = Classify(["crane", "robin", "crane", "7", "owl", "kite", "jay"], output="logits", top_k=1)


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        ("owl", Verdict(top1=True, top5=True)),
        ("crane", Verdict(top1=False, top5=True)),
        ("jay", Verdict(top1=False, top5=False)),
        ("eagle", None),
        (None, None),
    ],
)
def test_verdicts(label: str | None, verdict: Verdict | None) -> None:
    ((result,),) = BIRDS.results(
        {"indices": np.array([[4, 1, 2, 3, 0, 6, 5]]), "probabilities": np.zeros((1, 7))}, [ONE]
    )

    assert BIRDS.judge(result, GroundTruth(label)) == verdict
