"""What a model that sees time takes: clips of the frames of one camera."""

from dataclasses import dataclass
from typing import Literal

from worker.domain.frames import Frame

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
