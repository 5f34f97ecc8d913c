"""Measure how far two ways of running the same model agree, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass

Probabilities = Mapping[int, float]
"""Probability by class index, for the classes that a prediction names, most likely first.

Of a frame's value, class 1 is the event, and class 0 that there is none."""
Answers = Mapping[str, Probabilities]
"""Probabilities by the id of the frame that carries the prediction; a refused frame has no entry."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The result of comparing one way of running a model with the reference.

    Attributes:
        share: share of the frames whose most likely class is the reference's, of all frames that the reference
            answered. A near tie with another winner does not agree; neither does a refused frame.
        difference: largest difference between two probabilities of a frame, over the classes that the reference names.
    """

    share: float
    difference: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits within which answers count as equal to the reference's.

    Attributes:
        share: minimum share of frames with the same most likely class.
        difference: maximum difference of two probabilities.
    """

    share: float = 0.995
    difference: float = 0.05

    def why_not(self, found: Agreement) -> str | None:
        """Return a text that names the violated bound, or None."""
        if found.share < self.share:
            return f"the most likely class is the same on {found.share:.2%} of the frames, not {self.share:.2%}"
        if found.difference > self.difference:
            return f"probabilities differ by up to {found.difference:.3g}, more than {self.difference:.3g}"
        return None


def compare(reference: Answers, found: Answers) -> Agreement:
    """Compare answers with those of the reference.

    A class that an answer does not name counts as 0: it is too unlikely for the answer's list, and nothing more is
    known.

    Raises:
        ValueError: the reference has no answers.
    """
    if not reference:
        raise ValueError("there is nothing to compare with: the reference has no answers")
    same = sum(
        name in found and _most_likely(found[name]) == _most_likely(expected) for name, expected in reference.items()
    )
    differences = [
        abs(probability - found.get(name, {}).get(index, 0.0))
        for name, expected in reference.items()
        for index, probability in expected.items()
    ]
    return Agreement(same / len(reference), max(differences))


def _most_likely(probabilities: Probabilities) -> int:
    return next(iter(probabilities))
