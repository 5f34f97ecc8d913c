"""The worker's settings: what can be set (`groups`), and how it is read (`load`)."""

from worker.settings.groups import (
    BOOTSTRAP_VARIABLE,
    ENV_PREFIX,
    REFUSED,
    Delivery,
    Kafka,
    Limits,
    ModelGroup,
    Ops,
    Settings,
    Topics,
    WindowGroup,
)
from worker.settings.load import MASK, NOT_SETTINGS, describe, effective, load_settings, read_groups

__all__ = [
    "BOOTSTRAP_VARIABLE",
    "ENV_PREFIX",
    "MASK",
    "NOT_SETTINGS",
    "REFUSED",
    "Delivery",
    "Kafka",
    "Limits",
    "ModelGroup",
    "Ops",
    "Settings",
    "Topics",
    "WindowGroup",
    "describe",
    "effective",
    "load_settings",
    "read_groups",
]
