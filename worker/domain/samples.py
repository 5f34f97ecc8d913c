"""What a model takes at once, and the frames that it leaves out."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.clips import ClipLabel, Gap
from worker.domain.errors import FrameRejected
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.geometry import Geometry
from worker.domain.records import Position

LATE: Final = "late"
DUPLICATE: Final = "duplicate"
OVER_RATE: Final = "over-rate"
PUBLISHED_BEFORE: Final = "published-before"
"""Reasons to skip a frame that are found in more than one place."""


class Picture(NamedTuple):
    """A frame that was decoded before it was known which call of the model it belongs to.

    Attributes:
        pixels: as the model takes one frame, (height, width, channels), uint8; to be ignored if the frame is bad.
        found: how its picture became these pixels, or why it could not.
        took: seconds.
    """

    pixels: NDArray[np.uint8]
    found: Geometry | FrameRejected
    took: float


class ClipPlan(NamedTuple):
    """How the frames of a clip become the input of a model.

    Attributes:
        shown: for each place of the input, the index of the frame that it shows.
        places: for each answer, the place whose result is its own.
        covers: frames that no earlier clip has shown and that get no result of their own: showing them is what becomes
            of them.
        needs: the oldest offset that must be read again to make the same clip again.
        gap: what becomes of the clip where a frame cannot be decoded.
        least: fewest different frames with which there is a prediction.
        label: which label counts as that of the clip; None if each answer has its own.
        published: the offsets of those of `covers` and of the answers whose outcome was published before a restart.
    """

    shown: tuple[int, ...]
    places: tuple[int, ...]
    covers: tuple[EncodedFrame, ...]
    needs: int
    gap: Gap
    least: int
    label: ClipLabel | None
    published: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """Frames of one camera that the model takes together.

    A model of single frames looks at the newest one.

    Attributes:
        frames: those it needs, in order of capture, at least one.
        answers: those of them that get a result; the others are context.
        pictures: of each frame, its picture, if it is being decoded already; empty if none is.
        clip: how the frames become the input; None for a model of single frames.
    """

    frames: tuple[EncodedFrame, ...]
    answers: tuple[EncodedFrame, ...]
    pictures: tuple["Future[Picture]", ...] = ()
    clip: ClipPlan | None = None

    @property
    def newest(self) -> EncodedFrame:
        """The last of its frames."""
        return self.frames[-1]


@dataclass(frozen=True, slots=True)
class _OfFrame:
    """What becomes of a frame that gets no message of its own."""

    frame: Frame

    @property
    def position(self) -> Position:
        """Where the frame lies in Kafka."""
        return self.frame.position

    @property
    def camera(self) -> str:
        """Who took it."""
        return self.frame.camera


@dataclass(frozen=True, slots=True)
class Shown(_OfFrame):
    """A frame that a clip has shown to the model, and that carries no prediction: the clip's last frame does."""


@dataclass(frozen=True, slots=True)
class Skipped(_OfFrame):
    """A frame that gets no result on purpose. It is counted, and its offset is committed like any other.

    Attributes:
        reason: the sampler's word for it, in lower case with hyphens; the `reason` label of its metric.
        needs: the oldest offset that must be read again to decide the same again; None if it is its own.
    """

    reason: str
    needs: int | None = None
