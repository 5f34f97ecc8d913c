"""How far two ways of running the same model agree, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass

Probabilities = Mapping[int, float]
"""Of the classes that a prediction names, by their index, most likely first."""
Answers = Mapping[str, Probabilities]
"""By frame id; a frame that was refused has none."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One way of running a model, held against the reference.

    Attributes:
        share: frames whose most likely class is the reference's, of all that the reference answered for. A near tie
            that falls the other way is no agreement, nor is a frame that was refused.
        difference: the greatest between two probabilities of a frame, over the classes that the reference names.
    """

    share: float
    difference: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What counts as the same model.

    Attributes:
        share: of frames with the same most likely class, at least.
        difference: of two probabilities, at most.
    """

    share: float = 0.995
    difference: float = 0.05

    def why_not(self, found: Agreement) -> str | None:
        """Say which bound is broken; None if none is."""
        if found.share < self.share:
            return f"the most likely class is the same on {found.share:.2%} of the frames, not {self.share:.2%}"
        if found.difference > self.difference:
            return f"probabilities differ by up to {found.difference:.3g}, more than {self.difference:.3g}"
        return None


def compare(reference: Answers, found: Answers) -> Agreement:
    """Hold answers against those of the reference.

    A class that an answer does not name counts as 0: it is too low for the answer's list, and no more is known.

    Raises:
        ValueError: the reference has no answers.
    """
    if not reference:
        raise ValueError("there is nothing to compare with: the reference has no answers")
    same = sum(name in found and _best(found[name]) == _best(expected) for name, expected in reference.items())
    apart = [
        abs(likely - found.get(name, {}).get(index, 0.0))
        for name, expected in reference.items()
        for index, likely in expected.items()
    ]
    return Agreement(same / len(reference), max(apart))


def _best(probabilities: Probabilities) -> int:
    return next(iter(probabilities))
