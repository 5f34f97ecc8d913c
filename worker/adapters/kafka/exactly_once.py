"""Results and offsets to Kafka in one transaction: a frame's outputs and its offset exist together or not at all."""

import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from worker.adapters.kafka.deadline import call_within
from worker.adapters.kafka.messages import Options, log, to_commit
from worker.adapters.kafka.producer import (
    GIVE_UP_AFTER,
    advice,
    drop_unsent,
    make_producer,
    produce,
    undelivered,
)
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryFailed, DeliveryRefused
from worker.domain.records import OutboundRecord, TopicPartition

TRANSACTION_DEFAULTS: Final[Options] = {
    # A transaction is open for milliseconds. One that a dead worker left open keeps its partitions' readers and its
    # successor waiting for as long as this.
    "transaction.timeout.ms": 10_000,
    "delivery.timeout.ms": 10_000,
}
_LONGEST_STEP: Final = 30.0
_SHORTEST_STEP: Final = 1.0
_PAUSE: Final = 0.5

_MOVED_ON: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""The group's answers to a member that is no longer what it was: a poll tells it what it is now."""


_FOR_GOOD: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED})
"""What the broker may have against a record, and no second attempt helps."""
_NO_TOPIC: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError._DESTROY}
)
_PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
_TRANSACTION, _RECORD_FAILED, _TOPIC_UNKNOWN, _RECORD_REFUSED = range(1, 5)
"""What a failure was blamed on, what tells the least first: a record may fail only because of its neighbours."""
_PATIENCE: Final = {_RECORD_REFUSED: 0.0, _TOPIC_UNKNOWN: 5.0}
"""Seconds of new attempts: a refusal stays one, and news of a topic travel slowly while brokers come and go."""


class _Reason(NamedTuple):
    weight: int
    text: str


class ExactlyOnceSink:
    """A transactional producer that commits the consumer's offsets with the outputs (KIP-447).

    Fenced by the group's generation: `group` is asked anew for every transaction, and the broker refuses offsets of
    partitions that have gone to another member. The transactional id is new in every process, so it fences nobody.

    Args:
        options: librdkafka options under their own names.
        group: returns the consumer's group metadata as it is now.

    Raises:
        DeliveryFailed: no transaction coordinator answered.
    """

    exactly_once = True

    def __init__(self, bootstrap_servers: str, options: Options, *, group_id: str, group: Callable[[], Any]) -> None:
        self._group = group
        self._producer = make_producer(
            bootstrap_servers,
            options,
            defaults=TRANSACTION_DEFAULTS,
            required={"transactional.id": f"{group_id}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}"},
        )
        self._refused = _Reason(0, "")
        self._stuck = False
        try:
            self._producer.init_transactions(_LONGEST_STEP)
        except KafkaException as error:
            raise DeliveryFailed(
                f"no transaction coordinator at {bootstrap_servers}: {error.args[0].str()}; is every broker up, and "
                "may this user write with a transactional id?"
            ) from error

    def publish(
        self,
        records: Sequence[OutboundRecord],
        checkpoints: Mapping[TopicPartition, Checkpoint],
        *,
        within: float = GIVE_UP_AFTER,
    ) -> None:
        """Write the records and the checkpoints in one transaction; begin it anew if the broker aborts it."""
        self._refused = _Reason(0, "")
        began, reason = time.monotonic(), _Reason(0, "")
        while True:
            try:
                self._attempt(records, checkpoints, began + within)
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                aborted = self._aborted(cause, began + within)
                if cause.code() in _MOVED_ON and aborted:
                    raise DeliveryRefused(f"the group has moved on: {cause.str()} ({cause.name()})") from error
                reason = max(reason, self._explain(cause, records))
                if not aborted or time.monotonic() > began + min(within, _PATIENCE.get(reason.weight, within)):
                    raise DeliveryFailed(f"a transaction failed: {reason.text}; nothing of it was written") from error
                log.warning("a transaction failed, beginning it anew", error=reason.text)
                time.sleep(_PAUSE)
            else:
                return

    def close(self) -> None:
        """Drop what is not committed; the broker aborts it."""
        if not self._stuck:
            drop_unsent(self._producer)

    def _attempt(
        self, records: Sequence[OutboundRecord], checkpoints: Mapping[TopicPartition, Checkpoint], give_up: float
    ) -> None:
        self._producer.begin_transaction()
        for record in records:
            self._send(record)
        offsets = to_commit(checkpoints)
        group = self._group()
        self._take(lambda limit: self._producer.send_offsets_to_transaction(offsets, group, limit), give_up)
        self._take(self._producer.commit_transaction, give_up)

    def _explain(self, cause: KafkaError, records: Sequence[OutboundRecord]) -> _Reason:
        """Say what is wrong with a topic or a record, as far as the broker tells, else with the transaction."""
        return max(self._refused, self._missing_topic(records), _Reason(_TRANSACTION, _describe(cause, records)))

    def _missing_topic(self, records: Sequence[OutboundRecord]) -> _Reason:
        """Ask, since of a topic that is gone librdkafka may only say that the records of its neighbours timed out."""
        with suppress(KafkaException):
            for topic in dict.fromkeys(record.topic for record in records):
                error = self._producer.list_topics(topic, timeout=_SHORTEST_STEP).topics[topic].error
                if error is not None and error.code() in _NO_TOPIC:
                    return _Reason(_TOPIC_UNKNOWN, undelivered(topic, None, error))
        return _Reason(0, "")

    def _send(self, record: OutboundRecord) -> None:
        try:
            produce(self._producer, record, self._delivered)
        except KafkaException as error:
            self._refused = _Reason(_RECORD_REFUSED, undelivered(record.topic, record.partition, error.args[0]))
            raise

    def _aborted(self, cause: KafkaError, give_up: float) -> bool:
        """Abort the open transaction; tell whether the producer can begin another one."""
        if cause.fatal():
            return False
        try:
            self._take(self._producer.abort_transaction, give_up)
        except KafkaException as error:
            log.error("a transaction could not be aborted", error=error.args[0].str())
            return False
        return True

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        """Remember why a record was refused; most fail only because of the transaction they belong to."""
        if error is not None and error.code() not in _PURGED:
            weight = _RECORD_REFUSED if error.code() in _FOR_GOOD else _RECORD_FAILED
            weight = _TOPIC_UNKNOWN if error.code() in _NO_TOPIC else weight
            reason = _Reason(weight, undelivered(message.topic(), message.partition(), error))
            self._refused = max(self._refused, reason)

    def _take(self, step: Callable[[float], None], give_up: float) -> None:
        """Take a step of a transaction, again while librdkafka says that the same call may be made again."""
        while True:
            try:
                call_within(max(_SHORTEST_STEP, min(_LONGEST_STEP, give_up - time.monotonic())), step)
            except TimeoutError as error:
                self._stuck = True
                raise DeliveryFailed(f"a transaction hangs: {error}; nothing of it is committed") from error
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > give_up:
                    raise
            else:
                return


def _describe(cause: KafkaError, records: Sequence[OutboundRecord]) -> str:
    topics = " or ".join(f"topic {topic!r}" for topic in dict.fromkeys(record.topic for record in records))
    return f"{topics}: {cause.str()} ({cause.name()}); {advice(cause)}"
