"""Settings of which frames the model sees."""

from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class SamplingGroup(Group):
    """Which frames the model sees: frame rate, clips, and what is left out under too much load."""

    rate: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="frames per second of each camera that the model sees, by capture time; unset: the rate of the "
        "model's manifest, or every frame",
    )
    stride: int | None = Field(
        None, ge=1, description="frames from the beginning of a clip to that of the next; unset: clips do not overlap"
    )
    gap: Literal["repeat", "skip", "shorten"] = Field(
        "repeat",
        description="for clips with missing frames: repeat shows the frame before, skip makes no prediction, shorten "
        "shows fewer frames (engine eager)",
    )
    least_frames: int | None = Field(
        None, ge=1, description="fewest different frames of a clip with repeat and shorten; unset: half of the clip"
    )
    clip_label: Literal["last", "first", "majority"] = Field("last", description="which frame's label is the clip's")
    idle_ms: int = Field(
        5000, ge=100, description="silence of a camera after which its last clip is closed, in processing time"
    )
    on_lag: Literal["process_all", "skip_older_than", "latest_per_camera", "every_nth"] = Field(
        "process_all", description="what is left out while the worker does not keep up with its cameras"
    )
    max_age_ms: int = Field(
        1000, ge=10, description="for skip_older_than: largest age of a prediction, from capture to publication"
    )
    nth: int = Field(2, ge=2, description="for every_nth: one sample of this number is taken")
    annotate_every_ms: int = Field(
        1000,
        ge=1,
        le=600_000,
        description="with topics.annotated: each camera's first predicted frame in every interval of this many "
        "milliseconds of capture time",
    )
