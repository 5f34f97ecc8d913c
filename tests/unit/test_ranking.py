import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.errors import ModelContractBroken
from worker.domain.ranking import Answer, Ranked, join, judge


def answer(rows: list[list[float]], k: int = 7) -> Answer:
    """Return what an engine might that knows nothing of ties: it takes the higher index first."""
    scores = np.array(rows, np.float32)
    order = scores.shape[1] - 1 - np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :k]
    return Answer(order, np.take_along_axis(scores, order, axis=1), scores.sum(axis=1), scores.min(axis=1))


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]), min_size=7, max_size=7))
def test_ranking_is_by_probability_and_then_by_index(row: list[float]) -> None:
    ranked = judge(answer([row]), frames=1, output="logits")

    assert ranked.indices[0].tolist() == sorted(range(7), key=lambda index: (-row[index], index))
    assert ranked.probabilities[0].tolist() == [np.float32(each) for each in sorted(row, reverse=True)]
    assert (ranked.indices.dtype, ranked.probabilities.dtype.name) == (np.dtype(np.intp), "float32")


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
        judge(answer(rows), frames=len(rows), output="probabilities")


def test_an_answer_for_another_number_of_pictures() -> None:
    with pytest.raises(ModelContractBroken, match="answered for 1 of 2 pictures"):
        judge(answer([[0.5, 0.5]]), frames=2, output="logits")


def test_parts_are_joined_in_order() -> None:
    first, second = (judge(answer([[share, 1 - share]]), frames=1, output="logits") for share in (0.25, 0.75))

    assert join([first, second]).indices.tolist() == [[1, 0], [0, 1]]
    assert join([]).indices.shape == (0, 0)
    assert len(Ranked(first.indices, first.probabilities)) == 1
