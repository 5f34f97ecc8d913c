"""How good a classifier is on held-out data: counts, shares and their 95% intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.domain.intervals import FEWEST_GROUPS, Interval, share_interval


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of one sample, and what it is.

    Attributes:
        group: the camera or video that the sample is from.
        truth: index of its class.
        found: index of the class with the highest score.
    """

    group: str
    truth: int
    found: int


@dataclass(frozen=True, slots=True)
class Share:
    """A share that was counted.

    Attributes:
        right: how many of `total` count.
        interval: with 95% confidence; None if there are too few cameras for one.
        by_group: whether whole cameras were resampled, because the frames of one are alike.
    """

    right: int
    total: int
    groups: int
    interval: Interval | None
    by_group: bool

    @property
    def value(self) -> float:
        """The share, from 0 to 1; 0 if there is nothing."""
        return self.right / self.total if self.total else 0.0

    def __str__(self) -> str:
        text = f"{self.value:.1%} ({self.right} of {self.total})"
        if self.interval is None:
            return f"{text}, no interval: {self.groups} cameras are fewer than {FEWEST_GROUPS}"
        low, high = self.interval
        basis = f", by {self.groups} cameras" if self.by_group else ""
        return f"{text}, {low:.1%} to {high:.1%}{basis}"


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well one class is told from the others.

    Attributes:
        recall: of the samples that are of this class, those that were found.
        precision: of the samples that were said to be of this class, those that are.
    """

    name: str
    recall: Share
    precision: Share


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a classifier is.

    Attributes:
        classes: one for each class, in order.
        confusion: (classes, classes), counts; the row is the truth, the column what was found.
    """

    accuracy: Share
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]


def share_of(right: Sequence[bool], groups: Sequence[str]) -> Share:
    """Count a share; its interval is over groups if any of them has several observations."""
    cameras = len(set(groups))
    return Share(sum(right), len(right), cameras, share_interval(right, groups), by_group=cameras < len(groups))


def figures_of(answers: Sequence[Answer], names: Sequence[str]) -> Figures:
    """Count what a classifier got right.

    Args:
        answers: of all held-out samples, at least one.
        names: of the classes, by index.
    """
    confusion = np.zeros((len(names), len(names)), dtype=int)
    for each in answers:
        confusion[each.truth, each.found] += 1
    classes = []
    for index, name in enumerate(names):
        true = [each for each in answers if each.truth == index]
        said = [each for each in answers if each.found == index]
        recall = share_of([each.found == index for each in true], [each.group for each in true])
        precision = share_of([each.truth == index for each in said], [each.group for each in said])
        classes.append(ClassFigures(name, recall, precision))
    accuracy = share_of([each.truth == each.found for each in answers], [each.group for each in answers])
    return Figures(accuracy, tuple(classes), tuple(tuple(row) for row in confusion.tolist()))
