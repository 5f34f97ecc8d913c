"""Which epoch was the best so far, and when there is no point in going on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Best:
    """The best epoch so far.

    Attributes:
        epoch: its number, from 1; 0 before the first.
        score: what is to be high, such as the accuracy on held-out data.
        loss: decides between equal scores; lower is better.
    """

    epoch: int = 0
    score: float = float("-inf")
    loss: float = float("inf")


def better_of(best: Best, other: Best) -> Best:
    """Return the better of two epochs; the earlier one if they are equal.

    >>> better_of(Best(1, 0.9, 0.3), Best(2, 0.9, 0.2)).epoch
    2
    """
    return other if (other.score, -other.loss) > (best.score, -best.loss) else best


def is_over(best: Best, epoch: int, patience: int | None) -> bool:
    """Tell whether as many epochs as `patience` have passed since the best one.

    >>> is_over(Best(3, 0.9, 0.3), 5, patience=2)
    True
    """
    return patience is not None and epoch - best.epoch >= patience
