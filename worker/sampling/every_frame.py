"""Every frame is a sample of its own: nothing is skipped, and no frame is needed twice."""

from collections.abc import Sequence

from worker.domain.frames import EncodedFrame
from worker.domain.samples import Sample, Skipped
from worker.domain.times import Monotonic


class EveryFrame:
    """Implements `ports.Sampler` for models that see one frame.

    Attributes:
        held_bytes: nothing is held.
    """

    held_bytes = 0

    def take(self, frame: EncodedFrame, now: Monotonic) -> Sequence[Sample | Skipped]:  # noqa: ARG002 silence decides nothing
        """Return the frame as a sample."""
        alone = (frame,)
        return (Sample(alone, alone),)

    def pass_time(self, now: Monotonic) -> Sequence[Sample]:  # noqa: ARG002 silence decides nothing
        """Return nothing: no sample is ever incomplete."""
        return ()

    def relieve(self) -> None:
        """Return None: no frame is held."""

    def drain(self) -> Sequence[Sample]:
        """Return nothing: no sample is ever incomplete."""
        return ()

    def oldest_needed(self) -> None:
        """Return None: no later sample needs a frame of the past."""
