"""Settings of the delivery guarantee and of commits."""

from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class Delivery(Group):
    """The delivery guarantee and commits."""

    guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="exactly_once writes outputs and offsets in one transaction",
    )
    commit_interval_ms: int = Field(
        100,
        ge=0,
        description="longest time between finishing frames and committing their offsets; four times as long in a "
        "backlog without latency target",
    )
