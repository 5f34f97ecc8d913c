"""What a model that sees time takes: clips of the frames of one camera."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from worker.domain.frames import Frame
from worker.domain.times import EventMillis

Gap = Literal["repeat", "skip", "shorten"]
"""What becomes of a clip with places for which there is no frame:

- repeat: the nearest earlier frame of the clip is shown again; before the first frame, the first.
- skip: there is no prediction of this clip.
- shorten: the model takes only the frames that there are.
"""
ClipLabel = Literal["last", "first", "majority"]
"""Which label counts as the clip's: that of its last frame, of its first, or the most frequent of its frames'."""


@dataclass(frozen=True, slots=True)
class ClipShape:
    """How many frames a model takes together, and how far apart they are.

    Attributes:
        frames: places of the model's input, at least 2.
        rate: frames a second that the weights were trained with.
        middle: of how many frames in the middle a `frame_values` model gives the value; None for one answer a clip.
    """

    frames: int
    rate: float
    middle: int | None = None


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """Which clip a prediction is about.

    Attributes:
        first: its first frame, in order of capture.
        last: its last frame.
        used: number of different frames that were shown to the model.
        places: number of places that the model was shown; more than `used` where frames were repeated.
    """

    first: Frame
    last: Frame
    used: int
    places: int


class Slots:
    """A grid of capture time with a number of slots a second, aligned to the epoch.

    Which slot a frame belongs to follows from its capture time alone, whatever was seen before.

    Args:
        rate: slots a second, above 0; thousandths are the finest.

    >>> Slots(7.5).of(EventMillis(400))
    3
    """

    def __init__(self, rate: float) -> None:
        exact = Fraction(rate).limit_denominator(1000)
        self._slots, self._millis = exact.numerator, 1000 * exact.denominator

    def of(self, at: EventMillis) -> int:
        """Return the number of the slot, from 0 at the epoch."""
        return at * self._slots // self._millis


def label_of_clip(frames: Sequence[Frame], which: ClipLabel) -> str | None:
    """Return the label of a clip; None if the frame or frames in question have none.

    Args:
        frames: those of the clip, in order of capture, at least one.
        which: as the setting says; of labels that are equally frequent, the later one counts.
    """
    if which == "last":
        return frames[-1].label
    if which == "first":
        return frames[0].label
    labels = [frame.label for frame in reversed(frames) if frame.label is not None]
    return Counter(labels).most_common(1)[0][0] if labels else None
