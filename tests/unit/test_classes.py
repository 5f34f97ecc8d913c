import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.classes import ClassNames
from worker.domain.results import ScoredClass, Verdict

BIRDS = ClassNames(["crane", "robin", "crane", "7", "owl", "kite", "jay"])


@pytest.mark.parametrize(
    ("label", "indices"),
    [
        ("robin", {1}),
        ("crane", {0, 2}),
        ("4", {4}),
        ("7", {3}),  # a class is called "7", and the name wins
        ("99", set()),
        ("-1", set()),
        ("\u0664", set()),  # a digit to Unicode, no index to us
        ("Robin", set()),
    ],
)
def test_a_label_is_a_name_or_an_index(label: str, indices: set[int]) -> None:
    assert BIRDS.indices(label) == indices


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]), min_size=7, max_size=7), st.integers(1, 7))
def test_ranking_is_by_probability_and_then_by_index(row: list[float], k: int) -> None:
    (ranking,) = BIRDS.rank(np.array([row], np.float32), k)

    assert list(ranking) == sorted(range(7), key=lambda index: (-row[index], index))[:k]


def test_classes_are_named_in_rank_order() -> None:
    row = np.array([0.125, 0.5, 0.0, 0.0, 0.25, 0.0, 0.125], np.float32)
    (ranking,) = BIRDS.rank(row[None], 3)

    assert BIRDS.scored(row, ranking) == (
        ScoredClass(1, "robin", 0.5),
        ScoredClass(4, "owl", 0.25),
        ScoredClass(0, "crane", 0.125),
    )


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
    assert BIRDS.judge(label, [4, 1, 2, 3, 0, 6, 5]) == verdict
