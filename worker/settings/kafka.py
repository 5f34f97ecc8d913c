"""Settings of the Kafka cluster and its clients."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

from worker.settings.base import Group
from worker.settings.secrets import HOW, Secret, read_secret

BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"
LIBRDKAFKAS_MAX_POLL_INTERVAL: Final = 300_000

_DELIVERY = "the worker commits an offset itself, after every output of its frame is confirmed"
_SERVER: Final = re.compile(
    r"((PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://)?(\[[\da-fA-F:.%\w]+\]|[\w.-]+)(:(?P<port>\d{1,9}))?"
)
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
    "allow.auto.create.topics": "a topic that a broker creates is not as the worker needs it; create it with "
    "vision-worker topics apply",
    "queued.max.messages.kbytes": f"it is derived from {_OWN_SETTING}: limits.memory",
}
"""librdkafka options that would break delivery or that are settings of the worker, with the reason."""


def _as_options(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    options, faults = dict[object, object](), list[str]()
    for name, each in value.items():
        if name in REFUSED:
            faults.append(f"{name} is refused: {REFUSED[name]}")
            continue
        try:
            options[name] = _as_option(each)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise ValueError("; ".join(faults))
    return options


def _as_servers(value: object) -> object:
    """Refuse what librdkafka takes without a word, and then never reaches."""
    for each in value.split(",") if isinstance(value, str) and value else ():
        if not (found := _SERVER.fullmatch(each.strip())):
            raise ValueError(f"{each!r} is no address; write host:port, with a comma between two brokers")
        if found["port"] and not 0 < int(found["port"]) < 65536:
            raise ValueError(f"{each!r} has no port from 1 to 65535; correct it")
    return value


def _as_option(value: object) -> object:
    match value:
        case Mapping():
            return read_secret(value)
        case bool() | int() | float() | str():
            return value
        case _:
            raise ValueError(f"write a text, a number, true or false; for a secret, {HOW}")


def _keep_secret(value: object, check: ValidatorFunctionWrapHandler) -> object:
    return value if isinstance(value, Secret) else check(value)


def _show_source(value: object) -> object:
    return dict(value.source) if isinstance(value, Secret) else value


Option = Annotated[
    bool | int | float | str, WrapValidator(_keep_secret), PlainSerializer(_show_source, when_used="json")
]
Options = Annotated[dict[str, Option], BeforeValidator(_as_options)]


class Kafka(Group):
    """The Kafka cluster and its clients."""

    bootstrap_servers: Annotated[str, BeforeValidator(_as_servers)] = Field(
        min_length=1, description=f"brokers; also as {BOOTSTRAP_VARIABLE}"
    )
    group_id: str = Field("vision-worker", min_length=1, description="consumer group; its workers share the frames")
    group_protocol: Literal["auto", "classic", "consumer"] = Field(
        "auto", description="auto selects consumer (KIP-848) if the brokers support it"
    )
    wait_s: float = Field(60.0, ge=1.0, description="seconds that a worker waits at its start until the brokers answer")
    options: Options = Field(
        {},
        description="librdkafka options of all clients, such as security.protocol; a value may be {file: PATH} or "
        "{env: NAME}",
    )
    consumer: Options = Field({}, description="librdkafka options of the consumer")
    producer: Options = Field({}, description="librdkafka options of the producer")

    @property
    def max_poll_interval(self) -> float:
        """Seconds that the group waits for a member's next poll."""
        return float((self.options | self.consumer).get("max.poll.interval.ms", LIBRDKAFKAS_MAX_POLL_INTERVAL)) / 1000

    @property
    def hand_over_within(self) -> float:
        """Seconds for handing over a partition: its new owner waits, so this is shorter than the group's limit."""
        return self.max_poll_interval / 10
