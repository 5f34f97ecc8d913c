"""Batches of frames, why one was closed, and the limits that close one."""

from dataclasses import dataclass
from enum import StrEnum

from worker.domain.samples import Sample
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
        linger: seconds of processing time after its first sample. When one batch's linger expires, all open batches are
            sent, so that they share a call of the model.
        frames: how many samples it has at most.
    """

    linger: float
    frames: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one window of one partition, in the order in which they were read.

    Attributes:
        late: the watermark had already passed the window when these samples came.
    """

    window: Window
    samples: tuple[Sample, ...]
    closed_by: ClosedBy
    late: bool
