"""How the worker is set when it is tuned, for so many cores; everything else stays at its default."""

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Mapping[str, Any]]


def tuned(cores: int) -> Settings:
    """Return the settings of a tuned worker, group by group."""
    return {"model": {"engine": "openvino", "precision": "fp32", "streams": cores, "threads": cores}}


UNTUNED: Settings = {}
"""What one gets who sets nothing but brokers, topics and model."""
