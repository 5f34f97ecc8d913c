"""How well a model tells its classes apart: counts, shares, confusions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.judged import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How well one class is recognised.

    Attributes:
        labelled: frames whose label it is.
        predicted: labelled frames for which it is the most likely class.
        right: frames for which it is both.
        precision: share of what was predicted to be this class that is; None if nothing was.
        recall: share of what is this class that was predicted to be; None if nothing is.
        f1: the harmonic mean of both; None if the class neither occurs nor is predicted.
    """

    name: str
    labelled: int
    predicted: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None


def confusion(rows: Sequence[Judged], classes: int) -> NDArray[np.int64]:
    """Count the frames of each pair of classes: (truth, predicted), (classes, classes)."""
    counted = np.zeros((classes, classes), np.int64)
    np.add.at(counted, ([each.truth for each in rows], [each.predicted for each in rows]), 1)
    return counted


def class_scores(counted: NDArray[np.int64], labels: Sequence[str]) -> list[ClassScore]:
    """Return the score of each class that occurs or is predicted, by index."""
    found = zip(labels, counted.sum(axis=1), counted.sum(axis=0), counted.diagonal(), strict=True)
    return [
        _score(name, int(labelled), int(predicted), int(right))
        for name, labelled, predicted, right in found
        if labelled or predicted
    ]


def _score(name: str, labelled: int, predicted: int, right: int) -> ClassScore:
    return ClassScore(
        name=name,
        labelled=labelled,
        predicted=predicted,
        right=right,
        precision=right / predicted if predicted else None,
        recall=right / labelled if labelled else None,
        f1=2 * right / (labelled + predicted) if labelled + predicted else None,
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """How many frames with a label are predicted to be a class."""

    label: str
    predicted: str
    frames: int


def frames_by_pair(counted: NDArray[np.int64], labels: Sequence[str]) -> list[Pair]:
    """Return the pairs of label and prediction that occur, by their indices."""
    return [Pair(labels[t], labels[p], int(counted[t, p])) for t, p in np.argwhere(counted).tolist()]


def most_confused(counted: NDArray[np.int64], labels: Sequence[str], most: int) -> list[Pair]:
    """Return the most frequent mistakes, at most `most`, the most frequent first."""
    wrong = counted.copy()
    np.fill_diagonal(wrong, 0)
    return sorted(frames_by_pair(wrong, labels), key=lambda each: -each.frames)[:most]


def mistakes(rows: Sequence[Judged], most: int) -> list[Judged]:
    """Return the wrong predictions of which the model was surest, at most `most`, the surest first."""
    wrong = [each for each in rows if not each.right]
    return sorted(wrong, key=lambda each: (-each.probability, each.offset))[:most]
