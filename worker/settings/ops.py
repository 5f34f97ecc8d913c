"""Settings of the pages for monitoring, and of the log."""

from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class Ops(Group):
    """The pages for monitoring, and the log."""

    host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    port: int = Field(9400, ge=0, le=65535, description="port of these pages; 0 takes a free one")
    stalled_after_s: float = Field(
        60.0, gt=0, description="seconds without progress of the loop after which /healthz fails"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    log_format: Literal["console", "json"] = Field(
        "console", description="console writes text for people, json one JSON object per line"
    )
