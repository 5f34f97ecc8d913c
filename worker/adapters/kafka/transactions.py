"""Records to Kafka, several at once or none of them: a transactional producer."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from worker.adapters.kafka.messages import Options
from worker.adapters.kafka.producer import advice, drop_unsent, make_producer, produce
from worker.domain.errors import DeliveryFailed
from worker.domain.records import OutboundRecord

PATIENCE: Final = 15.0
"""Seconds a transaction may take. As long, and until the broker next looks, one that was left open by a SIGKILL keeps
consumers from what lies behind it in its partitions."""


class KafkaTransactions:
    """A producer whose records are seen together or not at all, by consumers that read what is committed.

    One of a name is at work at a time: a new one takes over, which ends the transaction that the one before it left
    open and stops it from writing. So whoever reads after taking over knows what was written.

    Args:
        options: librdkafka options under their own names.
        name: the transactional id.

    Raises:
        DeliveryFailed: taking over failed.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, name: str) -> None:
        milliseconds = int(PATIENCE * 1000)
        self._name = name
        self._producer = make_producer(
            bootstrap_servers,
            options,
            required={
                "transactional.id": name,
                "transaction.timeout.ms": milliseconds,
                "delivery.timeout.ms": milliseconds,
            },
        )
        try:
            self._producer.init_transactions(PATIENCE)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def publish(self, records: Sequence[OutboundRecord]) -> None:
        """Write the records in one transaction, and wait until it is committed.

        Raises:
            DeliveryFailed: it is not, or not known to be; or another of this name has taken over.
        """
        try:
            self._producer.begin_transaction()
            for record in records:
                produce(self._producer, record)
            self._producer.commit_transaction(PATIENCE)
        except BaseException as error:
            with suppress(KafkaException):  # it is over already, or the broker will end it
                self._producer.abort_transaction(PATIENCE)
            if isinstance(error, KafkaException):
                raise self._failure(error.args[0]) from error
            raise

    def close(self) -> None:
        """Let go of the connection."""
        drop_unsent(self._producer)

    def _failure(self, error: KafkaError) -> DeliveryFailed:
        hint = {
            KafkaError._FENCED: "another one of this name has begun since, and this one ends",
            KafkaError._TIMED_OUT: f"the broker did not answer within {PATIENCE:.0f} s",
            KafkaError.TOPIC_AUTHORIZATION_FAILED: "let this user write to the topic",
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "let this user write and describe this transactional id",
        }.get(error.code(), advice(error))
        return DeliveryFailed(f"transaction {self._name!r}: {error.str()} ({error.name()}); {hint}")
