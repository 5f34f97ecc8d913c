"""Measure how far two ways of running the same model agree, frame by frame."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

Probabilities = Mapping[int, float]
"""Probability by class index, for the classes that a prediction lists, most likely first.

Of a frame's value, class 1 is the event, and class 0 that there is none."""


class Answer(NamedTuple):
    """What a prediction says.

    Attributes:
        said: the most likely class; or all classes that are named, of a model that may name several.
        probabilities: of the classes that it lists.
    """

    said: AbstractSet[int]
    probabilities: Probabilities


Answers = Mapping[str, Answer]
"""By the id of the frame that carries the prediction; a refused frame has no entry."""

_REFUSED = Answer(frozenset(), {})


def most_likely(probabilities: Probabilities) -> Answer:
    """Return the answer of a model that says one class: the first.

    >>> most_likely({3: 0.9, 1: 0.06}).said
    {3}
    """
    return Answer(set(list(probabilities)[:1]), probabilities)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The result of comparing one way of running a model with the reference.

    Attributes:
        share: share of the frames on which both say the same, of all frames that the reference answered. A near tie
            with another winner does not agree; neither does a refused frame.
        difference: largest difference between two probabilities of a frame, over the classes that the reference lists.
    """

    share: float
    difference: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits within which answers count as equal to the reference's.

    Attributes:
        share: minimum share of frames on which both say the same.
        difference: maximum difference of two probabilities.
    """

    share: float = 0.995
    difference: float = 0.05

    def why_not(self, found: Agreement) -> str | None:
        """Return a text that names the violated bound, or None."""
        if found.share < self.share:
            return f"the prediction is the same on {found.share:.2%} of the frames, not {self.share:.2%}"
        if found.difference > self.difference:
            return f"probabilities differ by up to {found.difference:.3g}, more than {self.difference:.3g}"
        return None


def compare(reference: Answers, found: Answers) -> Agreement:
    """Compare answers with those of the reference.

    A class that an answer does not list counts as 0: it is too unlikely for the answer's list, and nothing more is
    known.

    Raises:
        ValueError: the reference has no answers.
    """
    if not reference:
        raise ValueError("there is nothing to compare with: the reference has no answers")
    same = sum(name in found and found[name].said == expected.said for name, expected in reference.items())
    differences = [
        abs(probability - found.get(name, _REFUSED).probabilities.get(index, 0.0))
        for name, expected in reference.items()
        for index, probability in expected.probabilities.items()
    ]
    return Agreement(same / len(reference), max(differences))
