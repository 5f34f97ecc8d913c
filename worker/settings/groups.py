"""What can be set: small frozen groups, each setting with its default and its meaning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX: Final = "VISION_WORKER_"
BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"

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


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(Group):
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

    @property
    def hand_over_within(self) -> float:
        """Seconds for handing a partition over: somebody waits for it, though the group would wait longer."""
        return self.max_poll_interval / 10


class Topics(Group):
    """Where frames come from and results go."""

    frames: Topic = Field("frames", description="input: encoded pictures")
    predictions: Topic = Field("predictions", description="output: at least as many partitions as frames")
    accuracy: Topic = Field("accuracy", description="output: compacted, at least as many partitions as frames")
    dead_letters: Topic = Field("dead-letters", description="output: frames that could not be processed")


class WindowGroup(Group):
    """How frames are gathered."""

    size_ms: int = Field(1000, ge=1, description="length of a tumbling window of capture time")
    lateness_ms: int = Field(200, ge=0, description="how long a window stays open for frames that come late")
    linger_ms: int = Field(100, ge=0, description="longest a frame waits for company, in processing time")
    latency_target_ms: int | None = Field(
        None,
        ge=10,
        description="for 99 % of frames, from capture to prediction; batches follow it, in place of linger_ms",
    )
    max_frames: int = Field(32, ge=1, le=4096, description="frames in a batch, and in one call of the model")


class ModelGroup(Group):
    """Which model answers, and where it runs."""

    path: Path | None = Field(None, description="folder or file of a model manifest")
    name: str | None = Field(None, description="ready or torchvision classification model, instead of path")
    weights: str | None = Field(None, description="torchvision weights for name, such as IMAGENET1K_V1")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N; never chosen for you")
    engine: Literal["eager", "compile", "openvino", "onnxruntime"] = Field(
        "eager", description="what runs it: torch, torch compiled ahead of time, OpenVINO or ONNX Runtime"
    )
    precision: Literal["fp32", "bf16", "fp16", "int8"] = Field(
        "fp32",
        description="bf16 can be several times faster on hardware that has it; refused on a CPU without. "
        "int8 is for openvino and onnxruntime on a CPU, changes answers, and needs a calibration",
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        "channels_last",
        description="how eager and compile lay out activations; an exported program keeps the one it was exported in",
    )
    preparation: Literal["exact", "reduced", "nvjpeg"] = Field(
        "exact",
        description="how a picture becomes the input: as torchvision does it, from a JPEG decoded at a fraction of its "
        "size, or all on a GPU",
    )
    threads: int | None = Field(
        None, ge=1, description="for the model, of all streams; unset takes the engine's default"
    )
    streams: int = Field(
        1, ge=1, le=64, description="parts of a batch that run side by side on a CPU; one a core is best"
    )
    profile: Literal["auto", "off"] = Field(
        "auto", description="auto takes what `vision-worker tune` found for this machine and model, if it has run"
    )
    top_k: int = Field(5, ge=1, le=1000, description="classes that a prediction names")

    @model_validator(mode="after")
    def _one_model(self) -> "ModelGroup":
        if (self.path is None) == (self.name is None):
            raise ValueError("set either path (a model manifest) or name (a torchvision model)")
        return self


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


class Delivery(Group):
    """When progress is written down."""

    guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="exactly_once puts outputs and offsets into one transaction",
    )
    commit_interval_ms: int = Field(
        100,
        ge=0,
        description="longest time between finishing frames and committing their offsets; four times as long in a "
        "backlog without latency target",
    )


class Ops(Group):
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
