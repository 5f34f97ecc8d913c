"""Write results and offsets to Kafka in one transaction: a frame's outputs and offset are stored together or not."""

import socket
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from worker.adapters.kafka.advice import on_writing, undelivered
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.deadline import call_within
from worker.adapters.kafka.messages import Options, log, to_commit
from worker.adapters.kafka.producer import GIVE_UP_AFTER, drop_unsent, make_producer, produce
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed, DeliveryRefused
from worker.domain.records import OutboundRecord, TopicPartition

TRANSACTION_DEFAULTS: Final[Options] = {
    # A transaction is usually open for milliseconds. If a killed worker leaves one open, readers of its partitions and
    # the worker's successor wait for this time.
    "transaction.timeout.ms": 10_000,
    "delivery.timeout.ms": 10_000,
}
_LONGEST_STEP: Final = 30.0
_SHORTEST_STEP: Final = 1.0
_PAUSE: Final = 0.5

_IS_IT_UP: Final = "check that every broker is up"
_FORBIDDEN: Final = frozenset(
    {KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)

_ASSIGNMENT_CHANGED: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""The group's errors for a member whose assignment has changed: a poll will tell it the new assignment."""


_FINAL: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED})
"""Errors of a record for which a retry does not help."""
_NO_TOPIC: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError._DESTROY}
)
_PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
_TRANSACTION, _RECORD_FAILED, _TOPIC_UNKNOWN, _RECORD_REFUSED = range(1, 5)
"""Possible causes of a failure, the least specific first: a record may fail only because of other records."""
_RETRY_SECONDS: Final = {_RECORD_REFUSED: 0.0, _TOPIC_UNKNOWN: 5.0}
"""Seconds of retries by cause: a refusal is final, but brokers that restart may not know a topic for a while."""


class _Reason(NamedTuple):
    weight: int
    text: str


class ExactlyOnceSink:
    """A transactional producer that commits the consumer's offsets with the outputs (KIP-447).

    It is fenced by the group's generation: every transaction uses the current group metadata, and the broker refuses
    offsets of partitions that belong to another member. Every process has a new transactional id, which fences nothing.

    Args:
        options: librdkafka options under their own names.
        group: returns the consumer's current group metadata.

    Raises:
        DeliveryFailed: no transaction coordinator answered, or this user may not begin transactions.
    """

    exactly_once = True

    def __init__(self, bootstrap_servers: str, options: Options, *, group_id: str, group: Callable[[], Any]) -> None:
        self._group = group
        self._connection = Connection(bootstrap_servers, options)
        self._producer = make_producer(
            self._connection,
            options,
            defaults=TRANSACTION_DEFAULTS,
            required={"transactional.id": f"{group_id}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}"},
        )
        self._record_failure = _Reason(0, "")
        self._hangs = False
        try:
            call_within(_LONGEST_STEP, self._producer.init_transactions)  # in a thread, so that a signal ends it
        except (KafkaException, TimeoutError) as error:
            raise DeliveryFailed(self._no_coordinator(bootstrap_servers, error)) from error

    def publish(
        self,
        records: Sequence[OutboundRecord],
        checkpoints: Mapping[TopicPartition, Checkpoint],
        *,
        within: float = GIVE_UP_AFTER,
    ) -> None:
        """Write the records and the checkpoints in one transaction; retry it if it fails and can be aborted."""
        self._record_failure = _Reason(0, "")
        began, reason = time.monotonic(), _Reason(0, "")
        # The topic of the frames too: the brokers refuse offsets of a topic that is gone.
        topics = list(dict.fromkeys([each.topic for each in records] + [each.topic for each in checkpoints]))
        while True:
            try:
                self._attempt(records, checkpoints, began + within)
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                aborted = self._abort(cause, began + within)
                if cause.code() in _ASSIGNMENT_CHANGED and aborted:
                    raise DeliveryRefused(
                        f"the group's assignment has changed: {cause.str()} ({cause.name()})"
                    ) from error
                reason = max(reason, self._explain(cause, topics))
                if not aborted or time.monotonic() > began + min(within, _RETRY_SECONDS.get(reason.weight, within)):
                    raise DeliveryFailed(f"a transaction failed: {reason.text}; nothing of it was written") from error
                log.warning("a transaction failed, retrying it", error=reason.text)
                time.sleep(_PAUSE)
            else:
                return

    def close(self) -> None:
        """Drop all uncommitted records; the broker aborts their transaction."""
        if not self._hangs:
            drop_unsent(self._producer)

    def _no_coordinator(self, servers: str, error: KafkaException | TimeoutError) -> str:
        if isinstance(error, TimeoutError):
            return f"no transaction coordinator at {servers}: {error}; {_IS_IT_UP}"
        with suppress(KafkaException):  # a fatal error, which is this one
            self._producer.poll(0)
        cause: KafkaError = error.args[0]
        what_to_do = on_writing(cause) if cause.code() in _FORBIDDEN else self._connection.cause(_IS_IT_UP)
        return f"transactions cannot begin at {servers}: {cause.str()}; {what_to_do}"

    def _attempt(
        self, records: Sequence[OutboundRecord], checkpoints: Mapping[TopicPartition, Checkpoint], deadline: float
    ) -> None:
        self._producer.begin_transaction()
        for record in records:
            self._send(record)
        offsets = to_commit(checkpoints)
        group = self._group()
        self._run_step(lambda limit: self._producer.send_offsets_to_transaction(offsets, group, limit), deadline)
        self._run_step(self._producer.commit_transaction, deadline)

    def _explain(self, cause: KafkaError, topics: Collection[str]) -> _Reason:
        """Return the most specific reason: a refused record, a missing topic, or else the transaction's error."""
        return max(self._record_failure, self._missing_topic(topics), _Reason(_TRANSACTION, _describe(cause, topics)))

    def _missing_topic(self, topics: Collection[str]) -> _Reason:
        """Look for a missing topic: librdkafka may report only that records of other topics timed out."""
        with suppress(KafkaException):
            for topic in topics:
                error = self._producer.list_topics(topic, timeout=_SHORTEST_STEP).topics[topic].error
                if error is not None and error.code() in _NO_TOPIC:
                    return _Reason(_TOPIC_UNKNOWN, undelivered(topic, None, error))
        return _Reason(0, "")

    def _send(self, record: OutboundRecord) -> None:
        try:
            produce(self._producer, record, self._delivered)
        except KafkaException as error:
            self._record_failure = _Reason(_RECORD_REFUSED, undelivered(record.topic, record.partition, error.args[0]))
            raise

    def _abort(self, cause: KafkaError, deadline: float) -> bool:
        """Abort the open transaction; return whether the producer can begin another one."""
        if cause.fatal():
            return False
        try:
            self._run_step(self._producer.abort_transaction, deadline)
        except KafkaException as error:
            log.error("a transaction could not be aborted", error=error.args[0].str())
            return False
        return True

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        """Store why a record was refused; most records fail only because their transaction fails."""
        if error is not None and error.code() not in _PURGED:
            weight = _RECORD_REFUSED if error.code() in _FINAL else _RECORD_FAILED
            weight = _TOPIC_UNKNOWN if error.code() in _NO_TOPIC else weight
            reason = _Reason(weight, undelivered(message.topic(), message.partition(), error))
            self._record_failure = max(self._record_failure, reason)

    def _run_step(self, step: Callable[[float], None], deadline: float) -> None:
        """Run one step of a transaction; repeat it while librdkafka says that it is retriable."""
        while True:
            try:
                call_within(max(_SHORTEST_STEP, min(_LONGEST_STEP, deadline - time.monotonic())), step)
            except TimeoutError as error:
                self._hangs = True
                raise DeliveryFailed(f"a transaction hangs: {error}; nothing of it is committed") from error
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return


def _describe(cause: KafkaError, topics: Collection[str]) -> str:
    named = " or ".join(f"topic {topic!r}" for topic in topics)
    return f"{named}: {cause.str()} ({cause.name()}); {on_writing(cause)}"
