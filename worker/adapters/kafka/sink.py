"""Write results to Kafka with an idempotent producer."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message

from worker.adapters.kafka.advice import ARE_BROKERS_UP, undelivered
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options, log
from worker.adapters.kafka.producer import GIVE_UP_AFTER, drop_unsent, make_producer, produce
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed
from worker.domain.records import OutboundRecord, TopicPartition
from worker.domain.spelling import closest

LOG_AFTER: Final = 5.0
"""Seconds after which a log line says what the sink waits for."""


class KafkaSink:
    """An idempotent producer that waits until all in-sync replicas have confirmed every record.

    Args:
        options: librdkafka options under their own names; they override `PRODUCER_DEFAULTS`.
    """

    def __init__(self, bootstrap_servers: str, options: Options) -> None:
        self._failure: str | None = None
        self._unconfirmed = Counter[str]()
        self._connection = Connection(bootstrap_servers, options)
        self._producer = make_producer(self._connection, options)

    exactly_once = False

    def await_topic(self, topic: str, within: float) -> None:
        """Wait until a broker knows a topic, so that a fault is told before the first record.

        Raises:
            BrokerUnreachable: no broker answered within these seconds; the text has the cause.
            DeliveryFailed: there is no such topic, or this user may not see it.
        """
        found = self._connection.until_answered(
            lambda limit: self._producer.list_topics(topic, timeout=limit), self._producer.poll, within
        )
        if (error := found.topics[topic].error) is None:
            return
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            known = (name for name in self._producer.list_topics(timeout=within).topics if name != topic)
            near = closest(topic, known)
            meant = f"did you mean {near}? Otherwise " if near else ""
            raise DeliveryFailed(
                f"topic {topic!r} does not exist; {meant}create the topic with vision-worker topics apply"
            )
        raise DeliveryFailed(undelivered(topic, None, error))

    def publish(
        self,
        records: Sequence[OutboundRecord],
        checkpoints: Mapping[TopicPartition, Checkpoint],  # noqa: ARG002 the source commits
        *,
        within: float = GIVE_UP_AFTER,
    ) -> None:
        """Send the records, and wait until the broker has confirmed all of them."""
        began = time.monotonic()
        for record in records:
            self.send(record)
        self.flush(within, began=began)

    def send(self, record: OutboundRecord) -> None:
        """Send a record without waiting for its confirmation; wait only while the local queue is full.

        Raises:
            DeliveryFailed: this record, or one sent earlier, failed.
        """
        self._raise_failure()
        try:
            produce(self._producer, record, self._delivered)
            self._unconfirmed[record.topic] += 1
            self._producer.poll(0)
        except KafkaException as error:
            raise DeliveryFailed(undelivered(record.topic, record.partition, error.args[0])) from error

    def flush(self, within: float = GIVE_UP_AFTER, *, began: float | None = None) -> None:
        """Wait until all sent records are confirmed; if it takes long, log what is missing.

        Args:
            within: seconds to wait.
            began: when the first of them was sent, in seconds of `time.monotonic`; None for now. A connection that
                failed before does not tell why they are not confirmed.

        Raises:
            DeliveryFailed: a record failed (the text names topic, partition and cause), or it took longer than
                `within`.
        """
        began = time.monotonic() if began is None else began
        try:
            unconfirmed = self._producer.flush(min(within, LOG_AFTER))
            if unconfirmed and within > LOG_AFTER:
                missing = self._by_topic()
                log.warning(
                    "waiting for brokers to confirm outputs",
                    records=missing,
                    for_at_most_s=round(within),
                    cause=self._connection.cause(ARE_BROKERS_UP, since=began),
                )
                unconfirmed = self._producer.flush(within - LOG_AFTER)
        except KafkaException as error:  # any call that serves the client's events may raise a fatal error
            raise DeliveryFailed(f"the producer has ended: {error.args[0].str()}; start the worker again") from error
        if unconfirmed and self._failure is None:
            self._failure = (
                f"no confirmation within {within:.0f} s of {self._by_topic()}: "
                f"{self._connection.cause(ARE_BROKERS_UP, since=began)}"
            )
        self._raise_failure()

    def close(self) -> None:
        """Drop all records that are not sent yet."""
        drop_unsent(self._producer)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._unconfirmed[message.topic() or ""] -= 1
        if error is not None and self._failure is None:
            self._failure = undelivered(message.topic(), message.partition(), error, self._connection)

    def _by_topic(self) -> str:
        return ", ".join(f"topic {topic!r}: {records} records" for topic, records in (+self._unconfirmed).items())

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise DeliveryFailed(self._failure)
