"""What can be shown on a picture: plain values, which know neither messages nor pixels."""

from dataclasses import dataclass

from worker.domain.times import EventMillis


@dataclass(frozen=True, slots=True)
class Share:
    """A class and its probability, 0 to 1."""

    name: str
    probability: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a picture. A task fills what it knows; what is left out is not drawn.

    Attributes:
        camera: who took it.
        captured_at: when, in milliseconds since the epoch, or since the beginning of a recording.
        classes: the most likely first.
        note: one more line for a person, such as what the prediction is about, or why there is none.
    """

    camera: str
    captured_at: EventMillis
    classes: tuple[Share, ...] = ()
    meter: Meter | None = None
    truth: Truth | None = None
    event: Event | None = None
    note: str | None = None
