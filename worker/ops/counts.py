"""What a worker has done since it started, as plain numbers: for the status line and the last line of its log."""

from collections import Counter as Tallies
from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.domain.records import TopicPartition
from worker.domain.results import HitCounts


@dataclass(frozen=True, slots=True)
class Rightness:
    """How right predictions with a label are.

    Attributes:
        labelled: predictions that were compared with a label.
        right: those of them whose most likely class is the label, or that name all its classes and no others.
        boxes: of a detector, those of its labelled frames; None of any other model.
    """

    labelled: int = 0
    right: int = 0
    boxes: HitCounts | None = None

    def plus(self, other: "Rightness") -> "Rightness":
        """Return the sum."""
        boxes = (self.boxes or HitCounts()).plus(other.boxes) if other.boxes else self.boxes
        return Rightness(self.labelled + other.labelled, self.right + other.right, boxes)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of a worker at one moment.

    Attributes:
        outcomes: frames by what became of them: predicted, rejected, skipped, shown.
        rejected: dead letters by reason; `skipped` what was left out, by reason.
        rightness: of all predictions with a label that means something to the model.
        unknown: predictions whose label names no class of the model.
        lag: records that wait in assigned partitions; None while it is not known.
        assigned: partitions that are read; `waiting` those that an output has not.
        in_flight: encoded bytes that are read and have no confirmed outcome.
        max_cameras: the limit, if there are more cameras than have series of their own; else None.
    """

    outcomes: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    rightness: Rightness = Rightness()
    unknown: int = 0
    lag: int | None = None
    assigned: int = 0
    waiting: int = 0
    in_flight: int = 0
    max_cameras: int | None = None

    @property
    def frames(self) -> int:
        """All frames that have an outcome."""
        return sum(self.outcomes.values())


class Totals:
    """Counts up what the loop tells; other threads read it.

    Attributes: as of `Counts`; `lag` by partition, None while it is not known.
    """

    def __init__(self) -> None:
        self.outcomes = Tallies[str]()
        self.rejected = Tallies[str]()
        self.skipped = Tallies[str]()
        self.rightness = Rightness()
        self.lag: dict[TopicPartition, int] | None = {}
        self.unknown = self.assigned = self.waiting = self.in_flight = 0

    def now(self, *, max_cameras: int | None) -> Counts:
        """Return the counts of this moment: copies, because the loop goes on."""
        lag = self.lag
        return Counts(
            outcomes=dict(self.outcomes),
            rejected=dict(self.rejected),
            skipped=dict(self.skipped),
            rightness=self.rightness,
            unknown=self.unknown,
            lag=None if lag is None else sum(list(lag.values())),
            assigned=self.assigned,
            waiting=self.waiting,
            in_flight=self.in_flight,
            max_cameras=max_cameras,
        )
