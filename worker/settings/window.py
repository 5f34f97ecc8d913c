"""How frames are gathered."""

from pydantic import Field

from worker.settings.base import Group


class WindowGroup(Group):
    """How frames are gathered."""

    size_ms: int = Field(1000, ge=1, description="length of a tumbling window of capture time")
    lateness_ms: int = Field(200, ge=0, description="how long a window stays open for frames that come late")
    linger_ms: int = Field(100, ge=0, description="longest a frame waits for company, in processing time")
    latency_target_ms: int | None = Field(
        None,
        ge=10,
        description="for 99 % of frames, from capture to prediction; batches follow it, in place of linger_ms",
    )
    max_frames: int = Field(32, ge=1, le=4096, description="frames in a batch, and in one call of the model")
