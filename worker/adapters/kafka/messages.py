"""Shared by all parts of this adapter: clients, conversion of messages to records, the client's log."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Partition

from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SettingsError
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis

Options = Mapping[str, bool | int | float | str]
"""librdkafka options, under their own names."""

RDKAFKA_LOG: Final = logging.getLogger("librdkafka")
log = structlog.get_logger("kafka")
C = TypeVar("C")


def make_client(kind: Callable[[dict[str, Any]], C], *options: Mapping[str, Any]) -> C:
    """Construct a client; later options override earlier ones.

    Raises:
        SettingsError: librdkafka does not know an option, or refuses its value.
    """
    merged: dict[str, Any] = {}
    for each in options:
        merged.update(each)
    try:
        return kind(merged)
    except KafkaException as error:
        raise SettingsError([f"librdkafka options: {error.args[0].str()}"]) from error


def record_of(message: Message) -> Record:
    """Convert a client message to a record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise ValueError("a message without topic, partition or offset was not read from Kafka")
    _, timestamp = message.timestamp()
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        position=Position(TopicPartition(topic, partition), offset),
        key=_as_bytes(message.key()),
        value=_as_bytes(message.value()),
        headers=tuple((name, _as_bytes(value)) for name, value in pairs),
        timestamp=EventMillis(max(0, timestamp)),
    )


def _as_bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def log_error(error: KafkaError) -> None:
    """Log an error that the client reports while it retries.

    At debug level, because librdkafka logs the same error, at most every 30 seconds instead of at every attempt.
    """
    log.debug("kafka client", error=error.str(), code=error.name())


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
