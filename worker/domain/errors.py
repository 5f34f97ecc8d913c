"""Everything that can go wrong, as one tree.

WorkerError
├── SettingsError            faults in the configuration, all of them at once
├── FrameRejected            one frame is bad: it becomes a dead letter, the batch continues
│   ├── EnvelopeInvalid      a header cannot be read
│   ├── ClockAhead           captured far in the future, by the worker's clock
│   ├── ImageUndecodable     empty, truncated, or not a picture at all
│   ├── ImageUnsupported     a picture, but of a kind that is not taken
│   ├── ImageTooLarge        more pixels than `limits.max_pixels`
│   └── FrameBreaksModel     the model raises on this frame alone
├── DeliveryFailed           an output was not confirmed by the broker
├── DeliveryRefused          the group has rebalanced; nothing was written; try again after the next poll
├── SourceLost               the input cannot be read any more
├── Stopped                  the worker was told to stop while it waited for brokers
├── ModelUnavailable         the model cannot be loaded as described
├── ModelFailed              the model raised on a batch; alone with one frame, that frame is rejected
│   └── ModelOutOfMemory     there was no memory for a batch of this size
├── TooManyRejected          the model fails on too many frames: the model is broken, not the frames
└── ModelContractBroken      the model returned something of the wrong shape

Only FrameRejected and DeliveryRefused are survived, and Stopped ends the worker in order; everything else stops the
worker with its offsets uncommitted.
"""

from collections.abc import Sequence
from enum import StrEnum

from worker.domain.pictures import Flaw


class Reason(StrEnum):
    """Why a frame was rejected; the reason code of its dead letter and the `reason` label in the metrics."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    NOT_A_PICTURE = "not-a-picture"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too-large"
    BAD_HEADER = "bad-header"
    CLOCK_AHEAD = "clock-ahead"
    MODEL_FAILED = "model-failed"


class WorkerError(Exception):
    """Base of every error the worker raises on purpose. Its text tells a person what to do."""


class SettingsError(WorkerError):
    """The configuration has faults.

    Args:
        faults: one line each, naming the setting and what to do.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class FrameRejected(WorkerError):
    """One frame cannot be processed; `reason` is the code its dead letter carries."""

    reason: Reason

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class EnvelopeInvalid(FrameRejected):
    """A header of the frame cannot be read."""

    def __init__(self, text: str) -> None:
        super().__init__(Reason.BAD_HEADER, text)


class ClockAhead(FrameRejected):
    """The frame was captured more than an hour later than now, by the worker's clock: one of the clocks is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__(Reason.CLOCK_AHEAD, text)


class ImageUndecodable(FrameRejected):
    """The bytes are empty, cut short, damaged, or no picture (`Reason.EMPTY`, `TRUNCATED`, `NOT_A_PICTURE`).

    Args:
        flaw: what the decoder reported; None if none was asked.
    """

    def __init__(self, reason: Reason, text: str, flaw: Flaw | None = None) -> None:
        self.flaw = flaw
        super().__init__(reason, text)


class ImageUnsupported(FrameRejected):
    """The bytes are a picture, but of a kind that is not taken."""

    def __init__(self, text: str) -> None:
        super().__init__(Reason.UNSUPPORTED, text)


class ImageTooLarge(FrameRejected):
    """The picture has more pixels than the limit, by its own header, before anything was decoded."""

    def __init__(self, text: str) -> None:
        super().__init__(Reason.TOO_LARGE, text)


class DeliveryFailed(WorkerError):
    """An output record was not confirmed by the broker; nothing that depends on it was committed."""


class DeliveryRefused(WorkerError):
    """The group no longer takes our word for our partitions: nothing was written, and a poll tells which are left."""


class SourceLost(WorkerError):
    """The input cannot be read any more, and waiting would not help."""


class Stopped(WorkerError):
    """The worker was told to stop while it waited for brokers; what it waited for is not known."""


class ModelUnavailable(WorkerError):
    """The model cannot be loaded: a file is missing, its hash differs, or the device is not there."""


class ModelFailed(WorkerError):
    """The model raised while it ran a batch."""


class ModelOutOfMemory(ModelFailed):
    """There was no memory for a batch of this size; a smaller one may do."""


class FrameBreaksModel(FrameRejected):
    """The model raises on this frame and not on its neighbours."""

    def __init__(self, text: str) -> None:
        super().__init__(Reason.MODEL_FAILED, text)


class TooManyRejected(WorkerError):
    """The model fails on more frames than `limits.max_failed_share`: it is broken, not the frames."""


class ModelContractBroken(WorkerError):
    """The model's output does not fit its labels or its batch."""
