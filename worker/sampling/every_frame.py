"""Every frame is a sample of its own: nothing is skipped, and no frame is needed twice."""

from collections.abc import Sequence

from worker.domain.frames import EncodedFrame
from worker.domain.samples import Sample


class EveryFrame:
    """Implements `ports.Sampler` for models that see one frame."""

    def take(self, frame: EncodedFrame) -> Sequence[Sample]:
        """Return the frame as a sample."""
        alone = (frame,)
        return (Sample(alone, alone),)

    def drain(self) -> Sequence[Sample]:
        """Return nothing: no sample is ever incomplete."""
        return ()

    def oldest_needed(self) -> None:
        """Return None: no later sample needs a frame of the past."""
