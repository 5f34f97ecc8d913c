"""What a model takes at once, and the frames that it leaves out."""

from dataclasses import dataclass

from worker.domain.frames import EncodedFrame, Frame
from worker.domain.records import Position


@dataclass(frozen=True, slots=True)
class Sample:
    """Frames of one camera that the model takes together.

    A model of single frames looks at the newest one.

    Attributes:
        frames: those it needs, oldest first, at least one.
        answers: those of them that get a result; the others are context.
    """

    frames: tuple[EncodedFrame, ...]
    answers: tuple[EncodedFrame, ...]

    @property
    def newest(self) -> EncodedFrame:
        """The last of its frames."""
        return self.frames[-1]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A frame that gets no result on purpose. It is counted, and its offset is committed like any other.

    Attributes:
        reason: the sampler's word for it, in lower case with hyphens; the `reason` label of its metric.
    """

    frame: Frame
    reason: str

    @property
    def position(self) -> Position:
        """Where the frame lies in Kafka."""
        return self.frame.position

    @property
    def camera(self) -> str:
        """Who took it."""
        return self.frame.camera
