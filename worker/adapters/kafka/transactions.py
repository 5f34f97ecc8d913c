"""Write records to Kafka with a transactional producer: all records of a transaction or none."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from worker.adapters.kafka.advice import on_writing
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options
from worker.adapters.kafka.producer import drop_unsent, make_producer, produce
from worker.domain.errors import DeliveryFailed
from worker.domain.records import OutboundRecord

TIMEOUT: Final = 15.0
"""Seconds that a transaction may take. If a SIGKILL leaves one open, consumers cannot read past it for this time, plus
the interval at which the broker looks for expired transactions."""


class KafkaTransactions:
    """A producer whose records become visible together or not at all to consumers that read committed records.

    Only one producer with a name can write. A new one takes over: this aborts a transaction that the previous one left
    open, and fences it. So after taking over, a reader sees everything that was written.

    Args:
        options: librdkafka options under their own names.
        name: the transactional id.

    Raises:
        DeliveryFailed: taking over failed.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, name: str) -> None:
        milliseconds = int(TIMEOUT * 1000)
        self._name = name
        self._connection = Connection(bootstrap_servers, options)
        self._producer = make_producer(
            self._connection,
            options,
            required={
                "transactional.id": name,
                "transaction.timeout.ms": milliseconds,
                "delivery.timeout.ms": milliseconds,
            },
        )
        try:
            self._producer.init_transactions(TIMEOUT)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def publish(self, records: Sequence[OutboundRecord]) -> None:
        """Write the records in one transaction, and wait until it is committed.

        Raises:
            DeliveryFailed: it was not committed, the outcome is unknown, or another producer with this name has taken
                over.
        """
        began = time.monotonic()
        try:
            self._producer.begin_transaction()
            for record in records:
                produce(self._producer, record)
            self._producer.commit_transaction(TIMEOUT)
        except BaseException as error:
            with suppress(KafkaException):  # it has ended already, or the broker will end it
                self._producer.abort_transaction(TIMEOUT)
            if isinstance(error, KafkaException):
                raise self._failure(error.args[0], since=began) from error
            raise

    def close(self) -> None:
        """Close the connection."""
        drop_unsent(self._producer)

    def _failure(self, error: KafkaError, since: float = -math.inf) -> DeliveryFailed:
        hint = {
            KafkaError._FENCED: "another producer with this name has taken over, so this one ends",
            KafkaError._TIMED_OUT: self._connection.cause(
                f"the broker did not answer within {TIMEOUT:.0f} s: check that every broker is up", since
            ),
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow this user to Write with this transactional id",
        }.get(error.code(), on_writing(error))
        return DeliveryFailed(f"transaction {self._name!r}: {error.str()} ({error.name()}); {hint}")
