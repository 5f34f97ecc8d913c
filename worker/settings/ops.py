"""What people and Prometheus watch."""

from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class Ops(Group):
    """What people and Prometheus watch."""

    host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    port: int = Field(9400, ge=0, le=65535, description="its port; 0 takes a free one")
    stalled_after_s: float = Field(60.0, gt=0, description="seconds without a loop after which /healthz fails")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    log_format: Literal["console", "json"] = Field("console", description="lines for people, or JSON")
