"""Settings of windows and batches."""

from typing import Annotated, Final, Literal

from pydantic import Field

from worker.settings.base import Group, whole_or_auto

MOST_FRAMES: Final = 4096
USUAL_FRAMES: Final = 32
"""In a batch at most: two full parts for each of two cores."""


class WindowGroup(Group):
    """Windows and batches."""

    size_ms: int = Field(1000, ge=1, description="size of a tumbling window of capture time")
    lateness_ms: int = Field(200, ge=0, description="how long a window stays open for late frames")
    linger_ms: int = Field(100, ge=0, description="longest time that a batch waits for more frames, in processing time")
    latency_target_ms: int | None = Field(
        None,
        ge=10,
        description="target for 99 % of frames, from capture to prediction; replaces linger_ms, and sets batch sizes",
    )
    max_frames: Annotated[Literal["auto"] | int, whole_or_auto(1, MOST_FRAMES)] = Field(
        "auto",
        description="maximum frames in a batch, and in one call of the model; auto: 16 for each stream, at least 32",
    )

    @property
    def frames_or_usual(self) -> int:
        """The maximum frames in a batch; 32 where nothing has been chosen for this machine."""
        return USUAL_FRAMES if self.max_frames == "auto" else self.max_frames
