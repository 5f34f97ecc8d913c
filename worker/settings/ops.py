"""Settings of the pages for monitoring, and of the log."""

from typing import Final, Literal

from pydantic import Field

from worker.settings.base import Group

LAST_PORT: Final = 9500
"""The last port that is tried if `ops.port` is not set."""


class Ops(Group):
    """The pages for monitoring, and the log."""

    host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    port: int = Field(
        9400,
        ge=0,
        le=65535,
        description=f"port of these pages; 0 takes any free one; unset, the first free one of 9400 to {LAST_PORT}",
    )
    stalled_after_s: float = Field(
        60.0, gt=0, description="seconds without progress of the loop after which /healthz fails"
    )
    unreachable_after_s: float = Field(
        30.0, gt=0, description="seconds without an answer from the brokers after which /readyz fails"
    )
    status_s: float = Field(10.0, ge=0, description="seconds between two status lines in the log; 0 writes none")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    log_format: Literal["console", "json"] = Field(
        "console", description="console writes text for people, json one JSON object per line"
    )

    @property
    def ports(self) -> range:
        """The ports to try, in order: only the one that was set, if one was."""
        return range(self.port, 1 + (self.port if "port" in self.model_fields_set else LAST_PORT))
