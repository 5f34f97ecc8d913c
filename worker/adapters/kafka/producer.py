"""What every producer here shares: its options, how a record is given to it, what to do about an error, its end."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log_error, make_client
from worker.domain.records import OutboundRecord

GIVE_UP_AFTER: Final = 120.0
"""Seconds without a confirmation."""
PRODUCER_DEFAULTS: Final[Options] = {
    # Below the consumer's max.poll.interval.ms, so that an outage fails the delivery before it costs the assignment.
    "delivery.timeout.ms": int(GIVE_UP_AFTER * 1000),
    # One publication becomes one request a partition; `flush` and the end of a transaction wait for no linger.
    "linger.ms": 5,
    "socket.nagle.disable": True,
    "reconnect.backoff.max.ms": 2_000,
    # How long a topic may be unknown: it was there at the start, so it need not be waited for as if it were new.
    "topic.metadata.propagation.max.ms": 5_000,
    # A dead letter is a frame plus headers, so the client must not be what refuses it: the topic decides.
    "message.max.bytes": 100_000_000,
    # Java's partitioner, so that a camera lies in the same partition whichever client wrote it.
    "partitioner": "murmur2_random",
}
ARE_BROKERS_UP: Final = "is every broker up, and are as many replicas in sync as min.insync.replicas asks for?"


def make_producer(
    bootstrap_servers: str, options: Options, *, defaults: Options | None = None, required: Options | None = None
) -> Producer:
    """Construct an idempotent producer, which has a record confirmed by all in-sync replicas.

    Args:
        bootstrap_servers: brokers.
        options: librdkafka options under their own names, as the user sets them.
        defaults: what `options` override; they override `PRODUCER_DEFAULTS`.
        required: what `options` cannot override. With a `transactional.id`, the producer is a transactional one.

    Raises:
        SettingsError: librdkafka refuses an option, or does not know it.
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
    """Give a record to a producer; waits only while its queue is full.

    Raises:
        KafkaException: the producer refuses it.
    """
    options: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
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
        else:
            return


def drop_unsent(producer: Producer) -> None:
    """Drop what is not sent yet; waits a second at most for what is on its way."""
    producer.purge()
    with suppress(KafkaException):  # a fatal error, which was said already
        producer.flush(1.0)


def undelivered(topic: str | None, partition: int | None, error: KafkaError) -> str:
    """Say which record was not delivered, why, and what to do."""
    where = f"topic {topic!r}" if partition is None else f"topic {topic!r}, partition {partition}"
    return f"{where}: {error.str()} ({error.name()}); {advice(error)}"


def advice(error: KafkaError) -> str:
    """Say what to do about an error of the broker or the client."""
    return {
        KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic",
        # A deleted topic, too, is one without partitions.
        KafkaError._UNKNOWN_PARTITION: "create the topic, or give it as many partitions as the frames' topic",
        KafkaError._UNKNOWN_TOPIC: "create the topic",
        # Of a record that is on its way while its topic, or its broker, leaves the cluster.
        KafkaError._DESTROY: "create the topic if it is gone, else start the worker again",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, with as many partitions as the frames' topic",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "let this worker's user write to it",
        KafkaError._MSG_TIMED_OUT: f"the broker did not answer within delivery.timeout.ms; {ARE_BROKERS_UP}",
    }.get(error.code(), "vision-worker check tells more")
