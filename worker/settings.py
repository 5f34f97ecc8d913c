"""A file and the environment to small frozen groups; every fault is reported, all of them together."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsableVariable

from worker.domain.errors import SettingsError

ENV_PREFIX: Final = "VISION_WORKER_"
BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"
NOT_SETTINGS: Final = frozenset({"VISION_WORKER_CACHE"})
MASK: Final = "******"

_SECRET = re.compile(r"password|secret|\.key\.pem$|\.key$|oauthbearer\.config|token|credentials", re.IGNORECASE)

_DELIVERY = "the worker commits an offset itself, once every output of its frame is confirmed"
_OWN_SETTING = "it is a setting of the worker"
REFUSED: Final[Mapping[str, str]] = {
    "enable.auto.commit": _DELIVERY,
    "enable.auto.offset.store": _DELIVERY,
    "auto.commit.interval.ms": _DELIVERY,
    "acks": "every in-sync replica must confirm an output before its frame's offset is committed",
    "request.required.acks": "every in-sync replica must confirm an output before its frame's offset is committed",
    "enable.idempotence": "a retried output must not appear twice, so the producer is always idempotent",
    "bootstrap.servers": f"{_OWN_SETTING}: kafka.bootstrap_servers",
    "metadata.broker.list": f"{_OWN_SETTING}: kafka.bootstrap_servers",
    "group.id": f"{_OWN_SETTING}: kafka.group_id",
    "group.protocol": f"{_OWN_SETTING}: kafka.group_protocol",
    "queued.max.messages.kbytes": f"it is derived from {_OWN_SETTING}: limits.memory",
}
"""librdkafka options that would break delivery, or that have a setting of their own, and why."""


def _as_options(value: object) -> object:
    if isinstance(value, Mapping):
        refused = [f"{name} is refused: {REFUSED[name]}" for name in value if name in REFUSED]
        if refused:
            raise ValueError("; ".join(refused))
    return value


Options = Annotated[dict[str, bool | int | float | str], BeforeValidator(_as_options)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


LIBRDKAFKAS_MAX_POLL_INTERVAL: Final = 300_000


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Group):
    """The cluster and how to talk to it."""

    bootstrap_servers: str = Field(min_length=1, description=f"brokers; also as {BOOTSTRAP_VARIABLE}")
    group_id: str = Field(
        "vision-worker", min_length=1, description="consumer group; workers of a group share the frames"
    )
    group_protocol: Literal["auto", "classic", "consumer"] = Field(
        "auto", description="auto takes consumer (KIP-848) where the brokers have it"
    )
    options: Options = Field({}, description="librdkafka options of every client, such as security.protocol")
    consumer: Options = Field({}, description="librdkafka options of the consumer")
    producer: Options = Field({}, description="librdkafka options of the producer")

    @property
    def max_poll_interval(self) -> float:
        """Seconds that the group waits for a member's next poll."""
        return float((self.options | self.consumer).get("max.poll.interval.ms", LIBRDKAFKAS_MAX_POLL_INTERVAL)) / 1000


class Topics(_Group):
    """Where frames come from and results go."""

    frames: Topic = Field("frames", description="input: encoded pictures")
    predictions: Topic = Field("predictions", description="output: at least as many partitions as frames")
    accuracy: Topic = Field("accuracy", description="output: compacted, at least as many partitions as frames")
    dead_letters: Topic = Field("dead-letters", description="output: frames that could not be processed")


class WindowGroup(_Group):
    """How frames are gathered."""

    size_ms: int = Field(1000, ge=1, description="length of a tumbling window of capture time")
    lateness_ms: int = Field(200, ge=0, description="how long a window stays open for frames that come late")
    linger_ms: int = Field(100, ge=0, description="longest a frame waits for company, in processing time")
    max_frames: int = Field(32, ge=1, le=4096, description="frames in a batch, and in one call of the model")


class ModelGroup(_Group):
    """Which model answers, and where it runs."""

    path: Path | None = Field(None, description="folder or file of a model manifest")
    name: str | None = Field(None, description="ready or torchvision classification model, instead of path")
    weights: str | None = Field(None, description="torchvision weights for name, such as IMAGENET1K_V1")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N; never chosen for you")
    engine: Literal["eager", "compile", "openvino", "onnxruntime"] = Field(
        "eager", description="what runs it: torch, torch compiled ahead of time, OpenVINO or ONNX Runtime"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="bf16 is several times faster on hardware that has it, and refused on a CPU without"
    )
    threads: int | None = Field(
        None, ge=1, description="for the model, of all streams; unset takes the engine's default"
    )
    streams: int = Field(
        1, ge=1, le=64, description="parts of a batch that run side by side on a CPU; one a core is best"
    )
    top_k: int = Field(5, ge=1, le=1000, description="classes that a prediction names")

    @model_validator(mode="after")
    def _one_model(self) -> "ModelGroup":
        if (self.path is None) == (self.name is None):
            raise ValueError("set either path (a model manifest) or name (a torchvision model)")
        return self


class Limits(_Group):
    """What the worker refuses to exceed."""

    memory: ByteSize = Field(
        ByteSize(256 * 2**20),
        ge=2**20,
        description="encoded frames held at once: half prefetched, a quarter in one poll, a quarter in open windows",
    )
    max_pixels: int = Field(50_000_000, ge=1, description="pixels of a picture, read from its header before decoding")
    max_poll_records: int = Field(64, ge=1, description="frames taken in one poll")
    max_failed_share: float = Field(
        0.5, ge=0, le=1, description="share of the last 100 frames the model may fail on before the worker stops"
    )
    max_cameras: int = Field(200, ge=1, description='cameras with metrics of their own; the rest count as "other"')


class Delivery(_Group):
    """When progress is written down."""

    guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="exactly_once puts outputs and offsets into one transaction",
    )
    commit_interval_ms: int = Field(
        100, ge=0, description="longest time between finishing frames and committing their offsets"
    )


class Ops(_Group):
    """What people and Prometheus watch."""

    host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    port: int = Field(9400, ge=0, le=65535, description="its port; 0 takes a free one")
    stalled_after_s: float = Field(60.0, gt=0, description="seconds without a loop after which /healthz fails")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    log_format: Literal["console", "json"] = Field("console", description="lines for people, or JSON")


class Settings(BaseSettings):
    """Everything that can be set, in its groups."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    kafka: Kafka
    topics: Topics
    window: WindowGroup
    model: ModelGroup
    limits: Limits
    delivery: Delivery
    ops: Ops


_GROUPS: Final[Mapping[str, type[_Group]]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Group)
}


def load_settings(file: Path | None) -> Settings:
    """Read the settings from a YAML file, if any, and from the environment, which wins.

    Raises:
        SettingsError: lists every fault with the setting's name and its environment variable.
    """
    groups, faults = read_groups(file)
    if faults:
        raise SettingsError(faults)
    return Settings.model_construct(None, **groups)


def read_groups(file: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Read each group of settings on its own, so that a fault in one does not hide those of another.

    Returns:
        The groups that are right, by name, and the faults of all others.
    """
    faults = [f"environment variable {name}: there is no such setting" for name in _unknown_variables()]
    try:
        content = _overlay(_from_file(file), _from_environment())
    except SettingsError as error:
        return {}, [*faults, *error.faults]
    faults += [f"{name}: there is no such group of settings" for name in content if name not in Settings.model_fields]
    groups = {}
    for name in Settings.model_fields:
        try:
            groups[name] = _GROUPS[name].model_validate(content.get(name) or {})
        except ValidationError as error:
            faults += [_fault((name, *each["loc"]), each) for each in error.errors()]
    return groups, faults


def effective(settings: Settings) -> dict[str, Any]:
    """Return every setting as it is in force, with secrets masked."""
    return {group: _masked(values) for group, values in settings.model_dump(mode="json").items()}


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, environment variable, default and meaning of every setting, in order."""
    for group_name, group in _GROUPS.items():
        for name, field in group.model_fields.items():
            default = "required" if field.is_required() else _shown(field.default)
            yield f"{group_name}.{name}", _variable(group_name, name), default, field.description or ""


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with what `above` says, group by group."""
    both = {
        name: _overlay(below[name], above[name])
        for name in below.keys() & above.keys()
        if isinstance(below[name], dict) and isinstance(above[name], dict)
    }
    return below | above | both


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise SettingsError([f"--config {file}: {error.strerror}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"--config {file}: not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise SettingsError([f"--config {file}: it must hold groups of settings, such as 'kafka:' and 'model:'"])
    return content


def _from_environment() -> dict[str, Any]:
    try:
        content = EnvSettingsSource(Settings)()
    except UnparsableVariable as error:
        raise SettingsError([f"environment: {error}; write options as a JSON object"]) from error
    servers = os.environ.get(BOOTSTRAP_VARIABLE)
    return _overlay({"kafka": {"bootstrap_servers": servers}}, content) if servers else content


def _unknown_variables() -> list[str]:
    groups = tuple(f"{ENV_PREFIX}{name}__".upper() for name in Settings.model_fields)
    whole = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    ours = (name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in NOT_SETTINGS)
    return [name for name in ours if not name.upper().startswith(groups) and name.upper() not in whole]


def _fault(location: tuple[int | str, ...], error: ErrorDetails) -> str:
    where = [str(part) for part in location]
    text, value = error["msg"].removeprefix("Value error, "), error["input"]
    if error["type"] == "missing":
        return f"{'.'.join(where)}: it is required; set it in the file or as {_variable(*where)}"
    shown = "" if isinstance(value, Mapping) else f" (it is {_mask(where[-1], value)!r})"
    return f"{'.'.join(where)}: {text}{shown}"


def _variable(*names: str) -> str:
    return ENV_PREFIX + "__".join(name.upper() for name in names)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask(name, each) for name, each in value.items()}
    return value


def _mask(name: str, value: Any) -> Any:
    return MASK if _SECRET.search(name) and value else _masked(value)


def _shown(default: object) -> str:
    if isinstance(default, ByteSize):
        return default.human_readable()
    return "unset" if default is None else str(default)
