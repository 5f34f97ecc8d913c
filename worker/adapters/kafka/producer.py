"""Shared by all producers: options, producing a record, closing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options, make_client
from worker.domain.records import OutboundRecord

GIVE_UP_AFTER: Final = 120.0
"""Seconds without a confirmation after which a delivery fails."""
PRODUCER_DEFAULTS: Final[Options] = {
    # Below the consumer's max.poll.interval.ms, so that in an outage the delivery fails before the partitions are lost.
    "delivery.timeout.ms": int(GIVE_UP_AFTER * 1000),
    # One publication becomes one request per partition; `flush` and the end of a transaction do not wait for the
    # linger.
    "linger.ms": 5,
    "socket.nagle.disable": True,
    "reconnect.backoff.max.ms": 2_000,
    # How long a topic may be unknown: it existed at the start, so there is no need to wait as long as for a new topic.
    "topic.metadata.propagation.max.ms": 5_000,
    # A dead letter is a frame plus headers. The topic decides whether it is too large, so the client must not refuse
    # it.
    "message.max.bytes": 100_000_000,
    # Java's partitioner, so that a camera's frames are in the same partition, whichever client writes them.
    "partitioner": "murmur2_random",
    # A topic that a broker creates by itself has one partition, and old records of it are deleted.
    "allow.auto.create.topics": False,
}
_LOOK_WITHIN: Final = 5.0
"""Seconds within which a broker must say how many partitions a topic has."""


def make_producer(
    connection: Connection, options: Options, *, defaults: Options | None = None, required: Options | None = None
) -> Producer:
    """Construct an idempotent producer; all in-sync replicas must confirm each record.

    Args:
        connection: gets what the producer reports about its connections.
        options: the user's librdkafka options, under their own names.
        defaults: options that override `PRODUCER_DEFAULTS`, and that `options` override.
        required: options that `options` cannot override. With a `transactional.id`, the producer is transactional.

    Raises:
        SettingsError: librdkafka does not know an option, or refuses its value.
    """
    return make_client(
        Producer,
        PRODUCER_DEFAULTS,
        defaults or {},
        options,
        required or {},
        {"acks": "all", "enable.idempotence": True, **connection.callbacks()},
    )


def produce(
    producer: Producer,
    record: OutboundRecord,
    on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
) -> None:
    """Pass a record to a producer; wait only while the producer's queue is full.

    Raises:
        KafkaException: the producer refuses the record.
    """
    options: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
    is_known = False
    while True:
        try:
            producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=on_delivery,
                **options,
            )
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            # A client looks at a topic every five minutes: partitions may have been added meanwhile.
            if is_known or error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
            producer.list_topics(record.topic, timeout=_LOOK_WITHIN)
            is_known = True
        else:
            return


def drop_unsent(producer: Producer) -> None:
    """Drop all records that are not sent yet; wait at most one second for those in flight."""
    producer.purge()
    with suppress(KafkaException):  # a fatal error, which was reported already
        producer.flush(1.0)
