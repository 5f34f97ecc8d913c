"""What every part of this adapter shares: messages to records, errors to text, the client's log."""

import logging
from collections.abc import Mapping
from typing import Final

import structlog
from confluent_kafka import KafkaError, Message

from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis

Options = Mapping[str, bool | int | float | str]
"""librdkafka's configuration, under its own names."""

RDKAFKA_LOG: Final = logging.getLogger("librdkafka")
log = structlog.get_logger("kafka")


def record_of(message: Message) -> Record:
    """Turn a client message into a record."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise ValueError("a message without a topic, partition or offset was never in Kafka")
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
    """Log what the client reports of itself; it goes on trying."""
    log.warning("kafka client", error=error.str(), code=error.name())
