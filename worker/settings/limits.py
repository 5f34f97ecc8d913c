"""What the worker refuses to exceed."""

from pydantic import ByteSize, Field

from worker.settings.base import Group


class Limits(Group):
    """What the worker refuses to exceed."""

    memory: ByteSize = Field(
        ByteSize(256 * 2**20),
        ge=2**20,
        description="encoded frames held at once: half prefetched, a quarter in one poll, a quarter in open windows",
    )
    max_pixels: int = Field(50_000_000, ge=1, description="pixels of a picture, read from its header before decoding")
    decode_threads: int | None = Field(
        None,
        ge=1,
        description="threads that only decode; unset: none if each core has a stream of the model, else one a core",
    )
    max_poll_records: int = Field(64, ge=1, description="frames taken in one poll")
    max_failed_share: float = Field(
        0.5, ge=0, le=1, description="share of the last 100 frames the model may fail on before the worker stops"
    )
    max_cameras: int = Field(200, ge=1, description='cameras with metrics of their own; the rest count as "other"')
