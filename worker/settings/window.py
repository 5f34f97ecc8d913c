"""Settings of windows and batches."""

from pydantic import Field

from worker.settings.base import Group


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
    max_frames: int = Field(32, ge=1, le=4096, description="maximum frames in a batch, and in one call of the model")
