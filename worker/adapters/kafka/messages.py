"""Shared by all parts of this adapter: clients, conversion of messages to records, the client's log."""

import gc
import logging
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import KafkaException, Message
from confluent_kafka import TopicPartition as Partition

from worker.adapters.kafka.option_names import on_refused_option
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SettingsError
from worker.domain.records import Headers, Position, Record, TopicPartition
from worker.domain.times import EventMillis

Options = Mapping[str, bool | int | float | str]
"""librdkafka options, under their own names."""

UNREADABLE_NAME: Final = "\N{REPLACEMENT CHARACTER}"
"""The name of a header whose name is not UTF-8."""
RDKAFKA_LOG: Final = logging.getLogger("librdkafka")
_HEADERS: Final = operator.methodcaller("headers")
"""Asks a message for its headers. If the name of one is not UTF-8, the client gives back a result and sets an exception
as well. Python raises SystemError for that, but only in calls that come from C: a call in Python may go on with the
result, and raise UnicodeDecodeError anywhere later."""
_NO_TOKENS: Final = (
    "nothing gives tokens to the mechanism OAUTHBEARER; set sasl.oauthbearer.method to oidc, and the client and the "
    "endpoint of its tokens"
)
log = structlog.get_logger("kafka")
C = TypeVar("C")


def make_client(kind: Callable[[dict[str, Any]], C], *options: Mapping[str, Any]) -> C:
    """Construct a client; later options override earlier ones.

    Raises:
        SettingsError: librdkafka does not know an option, refuses its value, or would wait for a token for ever.
    """
    merged: dict[str, Any] = {}
    for each in options:
        merged.update(each)
    if _waits_for_tokens(merged):
        raise SettingsError([f"librdkafka options: {_NO_TOKENS}"])
    try:
        return kind(merged)
    except KafkaException as error:
        raise SettingsError([f"librdkafka options: {on_refused_option(error.args[0].str())}"]) from error


def _waits_for_tokens(options: Mapping[str, Any]) -> bool:
    """Tell whether a client would wait for ever for a token from its program."""
    mechanism = options.get("sasl.mechanisms", options.get("sasl.mechanism"))
    return (
        mechanism == "OAUTHBEARER"
        and options.get("sasl.oauthbearer.method") != "oidc"
        and not options.get("enable.sasl.oauthbearer.unsecure.jwt")
    )


def record_of(message: Message) -> Record:
    """Convert a client message to a record; what of it cannot be read is said in the record's `fault`."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise ValueError("a message without topic, partition or offset was not read from Kafka")
    _, timestamp = message.timestamp()
    headers, fault = _headers_of(message)
    return Record(
        position=Position(TopicPartition(topic, partition), offset),
        key=_as_bytes(message.key()),
        value=_as_bytes(message.value()),
        headers=headers,
        timestamp=EventMillis(max(0, timestamp)),
        fault=fault,
    )


def _headers_of(message: Message) -> tuple[Headers, str | None]:
    """Return a message's headers, and what of them cannot be read."""
    try:
        headers = _HEADERS(message) or []
    except (SystemError, UnicodeDecodeError):
        return _readable_headers(message), (
            f"the name of a header is not UTF-8, and is {UNREADABLE_NAME!r} in the dead letter: name headers in UTF-8, "
            f"or replay the dead letter if nobody needs this header"
        )
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, _as_bytes(value)) for name, value in pairs), None


def _readable_headers(message: Message) -> Headers:
    """Return the headers of a message after `_HEADERS` has raised; `UNREADABLE_NAME` replaces names it cannot read.

    Asked again, the client returns its pairs, but in place of such a name there is no object at all: to unpack the pair
    would crash the process. The garbage collector lists the objects of a pair without that.
    """
    found = list[tuple[str, bytes | None]]()
    for pair in message.headers() or []:
        parts = gc.get_referents(pair)
        name = next((each for each in parts if isinstance(each, str)), UNREADABLE_NAME)
        found.append((name, next((each for each in parts if isinstance(each, bytes)), None)))
    return tuple(found)


def _as_bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def to_commit(checkpoints: Mapping[TopicPartition, Checkpoint]) -> list[Partition]:
    """Return checkpoints as librdkafka commits them: next offsets, with topic id and mark as their metadata."""
    return [Partition(p.topic, p.partition, each.next_offset, each.metadata()) for p, each in checkpoints.items()]


def from_commit(answered: Iterable[Partition]) -> dict[TopicPartition, Checkpoint]:
    """Read checkpoints back; partitions of which nothing was ever committed are left out."""
    return {
        TopicPartition(each.topic, each.partition): Checkpoint.read(each.offset, each.metadata)
        for each in answered
        if each.offset >= 0
    }
