"""Settings of the worker's limits."""

from typing import Literal

from pydantic import ByteSize, Field

from worker.settings.base import Group


class Limits(Group):
    """Limits that the worker does not exceed."""

    memory: ByteSize = Field(
        ByteSize(256 * 2**20),
        ge=2**20,
        description="for encoded frames: half for prefetching, a quarter for one poll, a quarter for open windows "
        "and clips; prepared frames of open clips count too",
    )
    max_pixels: int = Field(
        64_000_000, ge=1, description="largest accepted picture in pixels, checked in its header before decoding"
    )
    max_aspect: int = Field(
        32, ge=1, description="largest accepted ratio of a picture's longer side to its shorter side"
    )
    damaged: Literal["refuse", "accept"] = Field(
        "refuse",
        description="what becomes of a JPEG whose decoder reports missing or corrupt data: a dead letter, or a "
        "prediction from the pixels that there are; two frames in one record are always refused",
    )
    decode_threads: int | None = Field(
        None,
        ge=1,
        description="threads that only decode; unset: none if each core has a model stream, else one per core",
    )
    max_poll_records: int = Field(64, ge=1, description="maximum frames in one poll")
    max_failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the worker stops if the model fails on more than this share of the last 100 frames",
    )
    max_states: int = Field(
        100_000,
        ge=1,
        description="for recurrent models: largest number of hidden states of a partition; a camera without a frame "
        "among this many frames of its partition begins anew",
    )
    max_cameras: int = Field(200, ge=1, description='cameras with their own metrics; all others are counted as "other"')
