"""Results to Kafka: an idempotent producer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log, log_error, make_client
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed
from worker.domain.records import OutboundRecord, TopicPartition

GIVE_UP_AFTER: Final = 120.0
"""Seconds without a confirmation."""
TELL_AFTER: Final = 5.0
"""Seconds after which it is said what is waited for."""
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

WAITED_IN_VAIN: Final = "is every broker up, and are as many replicas in sync as min.insync.replicas asks for?"


class KafkaSink:
    """An idempotent producer that waits for every record to be confirmed by all in-sync replicas.

    Args:
        options: librdkafka options under their own names; they override the defaults above.
    """

    def __init__(self, bootstrap_servers: str, options: Options) -> None:
        self._failure: str | None = None
        self._unconfirmed = Counter[str]()
        self._producer = make_client(
            Producer,
            PRODUCER_DEFAULTS,
            options,
            {
                "bootstrap.servers": bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "error_cb": log_error,
                "logger": RDKAFKA_LOG,
            },
        )

    exactly_once = False

    def publish(
        self,
        records: Sequence[OutboundRecord],
        checkpoints: Mapping[TopicPartition, Checkpoint],  # noqa: ARG002 the source commits
        *,
        within: float = GIVE_UP_AFTER,
    ) -> None:
        """Send the records and wait until the broker has confirmed every one."""
        for record in records:
            self.send(record)
        self.flush(within)

    def send(self, record: OutboundRecord) -> None:
        """Hand a record over without waiting for its confirmation; waits only while the local queue is full.

        Raises:
            DeliveryFailed: this record, or one sent earlier, failed.
        """
        self._raise_failure()
        try:
            hand_over(self._producer, record, self._delivered)
            self._unconfirmed[record.topic] += 1
            self._producer.poll(0)
        except KafkaException as error:
            raise DeliveryFailed(undelivered(record.topic, record.partition, error.args[0])) from error

    def flush(self, within: float = GIVE_UP_AFTER) -> None:
        """Wait until everything sent is confirmed; once it takes long, say what is waited for.

        Raises:
            DeliveryFailed: a record failed, which names topic, partition and cause; or it took longer.
        """
        try:
            unconfirmed = self._producer.flush(min(within, TELL_AFTER))
            if unconfirmed and within > TELL_AFTER:
                what = self._by_topic()
                log.warning("waiting for brokers to confirm outputs", records=what, for_at_most_s=round(within))
                unconfirmed = self._producer.flush(within - TELL_AFTER)
        except KafkaException as error:  # a fatal one comes out of whatever call serves the client's events
            raise DeliveryFailed(f"the producer has ended: {error.args[0].str()}; start the worker again") from error
        if unconfirmed and self._failure is None:
            self._failure = f"no confirmation within {within:.0f} s of {self._by_topic()}; {WAITED_IN_VAIN}"
        self._raise_failure()

    def close(self) -> None:
        """Drop what is not sent yet; the broker knows nothing of it."""
        self._producer.purge()
        with suppress(KafkaException):  # fatal, and said already
            self._producer.flush(1.0)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._unconfirmed[message.topic() or ""] -= 1
        if error is not None and self._failure is None:
            self._failure = undelivered(message.topic(), message.partition(), error)

    def _by_topic(self) -> str:
        return ", ".join(f"topic {topic!r}: {records} records" for topic, records in (+self._unconfirmed).items())

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise DeliveryFailed(self._failure)


def hand_over(
    producer: Producer, record: OutboundRecord, on_delivery: Callable[[KafkaError | None, Message], None]
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
        KafkaError._MSG_TIMED_OUT: f"the broker did not answer within delivery.timeout.ms; {WAITED_IN_VAIN}",
    }.get(error.code(), "vision-worker check tells more")
