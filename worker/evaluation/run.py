"""What every evaluation has: the model that ran over the data, and the frames without a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.results import ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a worker has published of a model's run over the data.

    Attributes:
        labels: the model's class names by index.
        rejected: the reason of each dead letter.
        skipped: the reason of each skipped frame.
    """

    model: ModelIdentity
    labels: Sequence[str]
    rejected: Sequence[str] = ()
    skipped: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HitScore:
    """How much of what was found is right.

    Attributes:
        name: of the class, or what the score is of.
        hits: what is there and was found.
        misses: what is there and was not found.
        false_alarms: what was found and is not there.
        precision: share of what was found that is right; None if nothing was found.
        recall: share of what is there that was found; None if nothing is there.
        f1: their harmonic mean; None if there is neither.
    """

    name: str
    hits: int
    misses: int
    false_alarms: int
    precision: float | None
    recall: float | None
    f1: float | None
