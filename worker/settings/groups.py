"""All settings: the groups, each defined in its own file."""

from typing import Final

from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.settings.delivery import Delivery
from worker.settings.kafka import Kafka
from worker.settings.limits import Limits
from worker.settings.model import ModelGroup
from worker.settings.ops import Ops
from worker.settings.sampling import SamplingGroup
from worker.settings.topics import Topics
from worker.settings.window import WindowGroup

ENV_PREFIX: Final = "VISION_WORKER_"


class Settings(BaseSettings):
    """All settings, by group."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    kafka: Kafka
    topics: Topics
    sampling: SamplingGroup
    window: WindowGroup
    model: ModelGroup
    limits: Limits
    delivery: Delivery
    ops: Ops
