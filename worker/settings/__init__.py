"""The worker's settings: one file per group, combined in `groups`, and read in `load`."""

from worker.settings.delivery import Delivery
from worker.settings.groups import ENV_PREFIX, Settings
from worker.settings.kafka import BOOTSTRAP_VARIABLE, REFUSED, Kafka
from worker.settings.limits import Limits
from worker.settings.load import MASK, NOT_SETTINGS, describe, effective, fault_of, load_settings, read_groups
from worker.settings.model import ModelGroup
from worker.settings.ops import Ops
from worker.settings.sampling import SamplingGroup
from worker.settings.topics import Topics
from worker.settings.window import WindowGroup

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
    "SamplingGroup",
    "Settings",
    "Topics",
    "WindowGroup",
    "describe",
    "effective",
    "fault_of",
    "load_settings",
    "read_groups",
]
