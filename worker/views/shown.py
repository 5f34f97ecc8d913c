"""What can be shown on a picture: plain values, which know neither messages nor pixels."""

from dataclasses import dataclass

from worker.domain.boxes import Box, TrueBox
from worker.domain.times import EventMillis


@dataclass(frozen=True, slots=True)
class Share:
    """A class and its probability, or its share of the picture, 0 to 1.

    Attributes:
        index: the class's, where its areas or boxes have the colour of their class; else None.
    """

    name: str
    probability: float
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The label, and whether the prediction is right; None where the label names no class of the model."""

    label: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class Meter:
    """A value from 0 to 1, and the threshold from which on it means the event."""

    value: float
    threshold: float

    @property
    def reached(self) -> bool:
        """Whether the value means the event."""
        return self.value >= self.threshold


@dataclass(frozen=True, slots=True)
class Event:
    """An event, and how many frames ago it began; 0 on the frame that it begins with."""

    name: str
    since_event: int = 0


@dataclass(frozen=True, slots=True)
class ShownBox:
    """An object that was found, in pixels of the picture as it was sent.

    Attributes:
        index: the class's, which decides the colour.
    """

    index: int
    name: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Compared:
    """How many true boxes were found, of how many, and how many other boxes."""

    found: int
    true: int
    false_alarms: int

    @property
    def right(self) -> bool:
        """Whether all were found, and nothing else."""
        return self.found == self.true and not self.false_alarms


@dataclass(frozen=True, slots=True)
class Overlay:
    """The class of each place of a part of the picture.

    Attributes:
        png: 8 bits of grey, the index of the class.
        covers: in pixels of the picture as it was sent.
    """

    png: bytes
    covers: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a picture. A task fills what it knows; what is left out is not drawn.

    Attributes:
        camera: who took it.
        captured_at: when, in milliseconds since the epoch, or since the beginning of a recording.
        classes: the most likely first.
        boxes: what a detector has found.
        true_boxes: what is there.
        compared: the boxes with the true ones; None where those are not known.
        overlay: areas that get the colour of their class.
        note: one more line for a person, such as what the prediction is about, or why there is none.
    """

    camera: str
    captured_at: EventMillis
    classes: tuple[Share, ...] = ()
    meter: Meter | None = None
    truth: Truth | None = None
    event: Event | None = None
    note: str | None = None
    boxes: tuple[ShownBox, ...] = ()
    true_boxes: tuple[TrueBox, ...] = ()
    compared: Compared | None = None
    overlay: Overlay | None = None
