"""Batches of frames, why one was closed, and the limits that close one."""

from dataclasses import dataclass
from enum import StrEnum

from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.windows import Window


class ClosedBy(StrEnum):
    """Why a batch was closed."""

    WATERMARK = "watermark"
    SIZE = "size"
    LINGER = "linger"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch closes that no watermark closes.

    Attributes:
        linger: seconds of processing time after its first frame; all that is open then goes with it, to share its call
            of the model.
        frames: how many it has at most.
    """

    linger: float
    frames: int


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames of one window of one partition, in the order in which they were read.

    Attributes:
        late: the window had already been passed by the watermark when these frames came.
    """

    partition: TopicPartition
    window: Window
    frames: tuple[EncodedFrame, ...]
    closed_by: ClosedBy
    late: bool
