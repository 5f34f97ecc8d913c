"""What `evaluate` counts, compared with what scikit-learn, torchmetrics and SciPy count."""

from collections.abc import Sequence

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torchmetrics.functional.classification import multiclass_calibration_error

from worker.evaluation.calibration import calibration
from worker.evaluation.classes import class_scores, confusion, mistakes, most_confused
from worker.evaluation.comparison import Comparison, compare, mcnemar
from worker.evaluation.judged import Judged

LABELS = ("cat", "dog", "emu", "fox")


def row(offset: int, truth: int, predicted: int, probability: float = 0.5, camera: str = "a") -> Judged:
    return Judged(offset, camera, f"frame-{offset}", truth, predicted, probability, top5=True)


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0.25, 1, width=32, exclude_max=True)),
    min_size=1,
    max_size=60,
).map(lambda drawn: [row(number, *each) for number, each in enumerate(drawn)])


@given(rows)
def test_confusion_and_scores_are_those_of_scikit_learn(drawn: Sequence[Judged]) -> None:
    truth, predicted = [each.truth for each in drawn], [each.predicted for each in drawn]
    counted = confusion(drawn, 4)
    np.testing.assert_array_equal(counted, sklearn.metrics.confusion_matrix(truth, predicted, labels=range(4)))
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(4), zero_division=np.nan
    )
    for score in class_scores(counted, LABELS):
        index = LABELS.index(score.name)
        assert score.labelled == support[index]
        for ours, theirs in ((score.precision, precision), (score.recall, recall), (score.f1, f1)):
            assert ours == pytest.approx(theirs[index]) if ours is not None else np.isnan(theirs[index])


# Below 1: torchmetrics gives the probability 1 a range of its own.
@given(rows)
def test_the_calibration_error_is_that_of_torchmetrics(drawn: Sequence[Judged]) -> None:
    # A row of probabilities whose highest is the one that was predicted.
    scores = torch.zeros(len(drawn), 4)
    for number, each in enumerate(drawn):
        scores[number, each.predicted] = each.probability
    truth = torch.tensor([each.truth for each in drawn])
    theirs = multiclass_calibration_error(scores, truth, num_classes=4, n_bins=10, norm="l1")
    assert calibration(drawn).error == pytest.approx(theirs.item(), abs=1e-6)


def test_bins_tell_how_often_what_is_sure_is_right() -> None:
    found = calibration([row(0, 1, 1, 0.95), row(1, 1, 2, 0.91), row(2, 0, 0, 0.3)])
    assert [(each.frames, each.right) for each in found.bins if each.frames] == [(1, 1.0), (2, 0.5)]
    assert found.bins[9].sure == pytest.approx(0.93)
    assert calibration([]).error is None


def test_mistakes_begin_with_the_surest() -> None:
    drawn = [row(0, 1, 2, 0.6), row(1, 1, 1, 0.99), row(2, 3, 2, 0.9), row(3, 1, 2, 0.9), row(4, 0, 3, 0.1)]
    assert [each.offset for each in mistakes(drawn, 3)] == [2, 3, 0]
    assert [(each.label, each.predicted, each.frames) for each in most_confused(confusion(drawn, 4), LABELS, 2)] == [
        ("dog", "emu", 2),
        ("cat", "fox", 1),
    ]


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_models_are_compared_on_the_frames_that_both_have_predicted() -> None:
    first = [row(0, 1, 1), row(1, 1, 1), row(2, 1, 0), row(3, 1, 0), row(4, 1, 1)]
    second = [row(5, 1, 1), row(3, 1, 3), row(2, 1, 1), row(1, 1, 2), row(0, 1, 1)]
    expected = Comparison(both_right=1, only_first=1, only_second=1, both_wrong=1, p_value=1.0)
    assert compare(first, second) == expected
