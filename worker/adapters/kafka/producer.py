"""Shared by all producers: options, producing a record, advice about errors, closing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log_error, make_client
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
}
_LOOK_WITHIN: Final = 5.0
"""Seconds within which a broker must say how many partitions a topic has."""
ARE_BROKERS_UP: Final = "is every broker up, and are as many replicas in sync as min.insync.replicas requires?"


def make_producer(
    bootstrap_servers: str, options: Options, *, defaults: Options | None = None, required: Options | None = None
) -> Producer:
    """Construct an idempotent producer; all in-sync replicas must confirm each record.

    Args:
        bootstrap_servers: addresses of the brokers.
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
        {
            "bootstrap.servers": bootstrap_servers,
            "acks": "all",
            "enable.idempotence": True,
            "error_cb": log_error,
            "logger": RDKAFKA_LOG,
        },
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


def undelivered(topic: str | None, partition: int | None, error: KafkaError) -> str:
    """Return a text with the topic and partition, the error, and what to do."""
    where = f"topic {topic!r}" if partition is None else f"topic {topic!r}, partition {partition}"
    return f"{where}: {error.str()} ({error.name()}); {advice(error)}"


def advice(error: KafkaError) -> str:
    """Return a text that says what to do about an error of the broker or the client."""
    return {
        KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic",
        # librdkafka reports this for a deleted topic too.
        KafkaError._UNKNOWN_PARTITION: "create the topic, or give it as many partitions as the frames' topic",
        KafkaError._UNKNOWN_TOPIC: "create the topic",
        # The topic or the broker was removed from the cluster while the record was in flight.
        KafkaError._DESTROY: "create the topic if it is gone; otherwise start the worker again",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, with as many partitions as the frames' topic",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this worker's user to write to it",
        KafkaError._MSG_TIMED_OUT: f"the broker did not answer within delivery.timeout.ms; {ARE_BROKERS_UP}",
    }.get(error.code(), "vision-worker check tells more")
