"""What comes out: classes, predictions, dead letters."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.boxes import Box
from worker.domain.clips import ClipSpan
from worker.domain.errors import FrameRejected, Reason
from worker.domain.frames import Frame
from worker.domain.records import Position, Record
from worker.domain.samples import Shown, Skipped
from worker.domain.times import EventMillis
from worker.domain.windows import Window


class ModelIdentity(NamedTuple):
    """Which model answered.

    Attributes:
        name: the manifest's name, without a slash.
        version: the first 12 hex digits of the sha256 of its weights file.
    """

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class ScoredClass(NamedTuple):
    """One class and how likely the model holds it to be."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The result of the task `classify`.

    Attributes:
        classes: the k most likely classes, most likely first.
        ranking: the indices of the five most likely, or of all if there are fewer, whatever k is.
    """

    classes: tuple[ScoredClass, ...]
    ranking: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SeveralClasses:
    """The result of the task `multi_label`.

    Attributes:
        classes: the k most likely classes, and further ones that are named, most likely first.
        named: the names of the classes whose probability reaches their threshold, most likely first; may be empty.
    """

    classes: tuple[ScoredClass, ...]
    named: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FrameValue:
    """The result of the task `frame_values`, for one frame.

    Attributes:
        value: from 0 to 1.
        threshold: from which on the value means the event.
        event: the event's name if it begins with this frame: its value reaches the threshold, that of the frame before
            does not.
        above: the name of what the value means: the event's, or that of its absence.
    """

    value: float
    threshold: float
    event: str | None
    above: str


class Detected(NamedTuple):
    """One object that a detector has found.

    Attributes:
        index: the class's.
        score: from 0 to 1.
        box: in pixels of the picture as it was sent.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    name: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Detections:
    """The result of the task `detect`: the objects in a picture, by falling score."""

    boxes: tuple[Detected, ...]


class AreaShare(NamedTuple):
    """One class and the share of the picture's area that it covers, above 0, at most 1."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Mask:
    """The class of each place of a picture.

    Attributes:
        png: a PNG with 8 bits of grey: a pixel's value is the index of its class. It has the resolution of the
            network's output.
        covers: which part of the picture it shows, in pixels of the picture as it was sent.
    """

    png: bytes = field(repr=False)
    covers: Box


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The result of the task `segment`.

    Attributes:
        shares: the classes that cover any area, the background included, by falling share.
        mask: None if none was asked for.
    """

    shares: tuple[AreaShare, ...]
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """The result of the task `embed`: the vector of a picture, as the network gives it."""

    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the task `recurrent` makes of one frame alone: what its RNN will see. It is not published.

    Attributes:
        values: (features,), float32.
    """

    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SequenceClassification(Classification):
    """The result of the task `recurrent`: the classes after one more frame of a camera.

    Attributes:
        steps: how many frames the hidden state includes, this one included, since it began anew.
    """

    steps: int


Result = Classification | SeveralClasses | FrameValue | Detections | Segmentation | Embedding | Features
"""What a task makes of a model's answer."""


class Verdict(NamedTuple):
    """A result compared with the label of its frame.

    Attributes:
        top1: the most likely class is the label.
        top5: the label is among the five most likely.
    """

    top1: bool
    top5: bool


class HitCounts(NamedTuple):
    """How much of what was found is right, of one frame or of many: boxes of a detector, or namings of a class.

    Attributes:
        hits: true boxes, or classes, that were found.
        misses: those that were not found.
        false_alarms: what was found and is not there; also a true box that another box has found already.
    """

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0

    @property
    def precision(self) -> float | None:
        """Share of the found boxes that are right; None if nothing was found."""
        found = self.hits + self.false_alarms
        return self.hits / found if found else None

    @property
    def recall(self) -> float | None:
        """Share of the true boxes that were found; None if there are none."""
        true = self.hits + self.misses
        return self.hits / true if true else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None if nothing was found and nothing is there."""
        either = 2 * self.hits + self.misses + self.false_alarms
        return 2 * self.hits / either if either else None

    def plus(self, other: "HitCounts") -> "HitCounts":
        """Return the sum.

        >>> HitCounts(1, 2, 3).plus(HitCounts(hits=1))
        HitCounts(hits=2, misses=2, false_alarms=3)
        """
        return HitCounts(self.hits + other.hits, self.misses + other.misses, self.false_alarms + other.false_alarms)


class BoxVerdict(NamedTuple):
    """The boxes of a detector compared with the true boxes of its frame.

    Attributes:
        counts: of this frame.
        unknown: labels of true boxes that name no class of the model. These boxes are misses.
    """

    counts: HitCounts
    unknown: tuple[str, ...] = ()


class NamedVerdict(NamedTuple):
    """The classes that a prediction names, compared with those that the label lists.

    Attributes:
        hits: names of classes in both.
        misses: those that are only in the label.
        false_alarms: those that are only in the prediction.
    """

    hits: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    false_alarms: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the prediction names the classes of the label, and no others."""
        return not (self.misses or self.false_alarms)

    @property
    def jaccard(self) -> float:
        """Share of the classes in either that are in both; 1 if both are empty.

        >>> NamedVerdict(hits=("hat",), misses=("glasses",)).jaccard
        0.5
        """
        either = sum(map(len, self))
        return len(self.hits) / either if either else 1.0


AnyVerdict = Verdict | BoxVerdict | NamedVerdict
"""A result compared with the truth."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one frame.

    Attributes:
        result: the task's.
        label: the ground truth that it was compared with: the frame's own, or the clip's.
        verdict: None where there is no ground truth, or its label names no class of the model.
        closed_by: why the frame's batch was closed.
        seconds: processing seconds spent per stage so far.
        took: seconds that a thread of the model spent on the frame and those that shared its part of a call.
        clip: the clip that the frame is the last of; None for a model of single frames.
        annotated: a JPEG of the frame with the prediction drawn on it; None for all but a few.
    """

    frame: Frame
    window: Window
    model: ModelIdentity
    result: Result
    label: str | None
    verdict: AnyVerdict | None
    late: bool
    closed_by: str
    seconds: Mapping[str, float]
    took: float
    clip: ClipSpan | None = None
    annotated: bytes | None = field(default=None, repr=False)

    @property
    def position(self) -> Position:
        """Where the frame lies in Kafka."""
        return self.frame.position

    @property
    def camera(self) -> str:
        """Who took it."""
        return self.frame.camera

    def overhead(self, published_at: EventMillis) -> float:
        """Return the seconds since its capture in which it neither waited in an open batch nor was worked on."""
        age = (published_at - self.frame.captured_at) / 1000
        return age - self.seconds["gather"] - self.took


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that could not be processed, with the reason.

    Attributes:
        record: the original, whole.
        stage: the hop that refused it.
        error: the exception's class name.
        text: what is wrong, for a person.
        stack: the exception with its causes, for the people who mend the producer.
        camera: the camera as far as it could be known.
        captured_at: when it was captured; None if its headers do not tell.
    """

    record: Record
    reason: Reason
    stage: str
    error: str
    text: str
    stack: str
    camera: str
    arrived_at: EventMillis
    captured_at: EventMillis | None = None

    @property
    def position(self) -> Position:
        """Where the original lies in Kafka."""
        return self.record.position


def dead_letter(
    record: Record,
    *,
    stage: str,
    error: FrameRejected,
    arrived_at: EventMillis,
    camera: str,
    captured_at: EventMillis | None = None,
) -> DeadLetter:
    """Make the dead letter of a frame that `stage` refused."""
    return DeadLetter(
        record=record,
        reason=error.reason,
        stage=stage,
        error=type(error).__name__,
        text=str(error),
        stack="".join(traceback.format_exception(error)),
        camera=camera,
        arrived_at=arrived_at,
        captured_at=captured_at,
    )


Outcome = Prediction | DeadLetter | Skipped | Shown
"""What becomes of a frame: exactly one of these."""
