"""Read frames from Kafka as a member of a consumer group."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition

from worker.adapters.kafka.advice import on_reading
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options, from_commit, log, make_client, record_of, to_commit
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SourceLost
from worker.domain.records import OnCommitted, OnPartitions, Record, TopicPartition

_TRANSIENT: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
)
"""Errors from a poll that end by waiting, or by the rebalance that follows."""

ANSWER_WITHIN: Final = 30.0
"""Seconds within which a broker must answer at the start."""

CONSUMER_DEFAULTS: Final[Options] = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 10,
    "socket.nagle.disable": True,
    # By default, it takes up to ten seconds until a recovered broker is noticed.
    "reconnect.backoff.max.ms": 2_000,
}


class KafkaSource:
    """A member of a consumer group.

    Args:
        options: librdkafka options under their own names; they override the defaults above.
        max_poll_records: maximum number of records that one poll returns.
        max_poll_bytes: a poll ends when its records reach this size.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        group_id: str,
        topic: str,
        options: Options,
        max_poll_records: int,
        max_poll_bytes: int,
    ) -> None:
        self._topic = topic
        self._group_id = group_id
        self._connection = Connection(bootstrap_servers, options)
        self._max_poll_records = max_poll_records
        self._max_poll_bytes = max_poll_bytes
        self._polled: list[Record] = []
        defaults = dict(CONSUMER_DEFAULTS)
        if options.get("group.protocol") == "consumer":
            del defaults["partition.assignment.strategy"]  # KIP-848: the broker assigns
        self._consumer = make_client(
            Consumer,
            defaults,
            options,
            {
                "group.id": group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "on_commit": self._commit_answered,
                **self._connection.callbacks(),
            },
        )

    def subscribe(
        self,
        *,
        on_assigned: OnPartitions,
        on_revoked: OnPartitions,
        on_lost: OnPartitions,
        on_committed: OnCommitted,
    ) -> None:
        """Join the group; the callbacks are called within later polls and commits.

        Raises:
            SourceLost: no broker answers, or there is no such topic.
        """
        self._on_committed = on_committed

        def assigned(_: Consumer, partitions: list[Partition]) -> None:
            on_assigned(_domain(partitions))

        def revoked(_: Consumer, partitions: list[Partition]) -> None:
            self._drop_polled(partitions)
            on_revoked(_domain(partitions))

        def lost(_: Consumer, partitions: list[Partition]) -> None:
            self._drop_polled(partitions)
            on_lost(_domain(partitions))

        self._check_topic()
        self._consumer.subscribe([self._topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def poll(self, timeout: float) -> Sequence[Record] | None:
        """Wait for a first record, then return it with those that were prefetched; never returns None."""
        self._polled, size = [], 0
        message = self._consumer.poll(timeout)
        while message is not None:
            if (error := message.error()) is not None:
                self._raise_unless_transient(error)
            else:
                record = record_of(message)
                self._polled.append(record)
                size += len(record.value or b"")
            if len(self._polled) >= self._max_poll_records or size >= self._max_poll_bytes:
                break
            message = self._consumer.poll(0)
        # The caller owns the list from here on: a callback outside of a poll must not remove records from it.
        polled, self._polled = self._polled, []
        return polled

    def checkpoints(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Checkpoint]:
        """Read the group's checkpoints; waits for a transaction that a dead worker has left open."""
        requested = [Partition(each.topic, each.partition) for each in partitions]
        try:
            answered = self._consumer.committed(requested, timeout=ANSWER_WITHIN)
        except KafkaException as error:
            raise self._unknown_checkpoints(error.args[0]) from error
        if failed := next((each.error for each in answered if each.error), None):
            raise self._unknown_checkpoints(failed)
        return from_commit(answered)

    def commit(self, checkpoints: Mapping[TopicPartition, Checkpoint], *, wait: bool) -> None:
        """Commit checkpoints; `on_committed` is called with the outcome, in a later poll if this does not wait."""
        commits = to_commit(checkpoints)
        try:
            if wait:
                # This call takes no time limit; librdkafka's is socket.timeout.ms. Called from another thread, it would
                # never return while this thread is in a rebalance callback.
                self._commit_answered(None, self._consumer.commit(offsets=commits, asynchronous=False) or [])
            else:
                self._consumer.commit(offsets=commits, asynchronous=True)
        except KafkaException as error:
            self._commit_answered(error.args[0], commits)

    def lag(self) -> Mapping[TopicPartition, int]:
        """Return the lag of the partitions that were read from, according to the last fetches."""
        found = {}
        for position in self._consumer.position(self._consumer.assignment()):
            if position.offset >= 0:
                _, high = self._consumer.get_watermark_offsets(position, cached=True)
                found[TopicPartition(position.topic, position.partition)] = max(0, high - position.offset)
        return found

    def group_metadata(self) -> Any:
        """Return the current group metadata, which a transaction needs to commit offsets."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _check_topic(self) -> None:
        """Check that the topic exists before joining: the newer group protocol does not report a missing topic."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=ANSWER_WITHIN).topics[self._topic]
        except KafkaException as error:
            self._consumer.poll(0)  # lets the client report the cause
            raise self._connection.unreachable(error, ANSWER_WITHIN) from error
        if found.error is not None:
            self._raise_unless_transient(found.error)

    def _drop_polled(self, partitions: list[Partition]) -> None:
        """Drop the records that the current poll has collected from partitions which it then revokes."""
        gone = set(_domain(partitions))
        self._polled[:] = [record for record in self._polled if record.position.partition not in gone]

    def _raise_unless_transient(self, error: KafkaError) -> None:
        if error.fatal() or error.code() not in _TRANSIENT:
            raise SourceLost(
                f"reading topic {self._topic!r} failed: {error.str()} ({error.name()}); "
                f"{on_reading(error, self._topic, self._group_id)}"
            )
        log.warning("source", error=error.str())

    def _commit_answered(self, error: KafkaError | None, answered: list[Partition]) -> None:
        """Report what was stored: the whole commit may have failed, or single partitions of it."""
        failed = error or next((each.error for each in answered if each.error), None)
        stored = [] if error else [each for each in answered if not each.error]
        self._on_committed(from_commit(stored), None if failed is None else failed.str())

    def _unknown_checkpoints(self, error: KafkaError) -> SourceLost:
        return SourceLost(
            f"the committed offsets of topic {self._topic!r} cannot be read: {error.str()} ({error.name()}); "
            f"{on_reading(error, self._topic, self._group_id)}"
        )


def _domain(partitions: list[Partition]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(each.topic, each.partition) for each in partitions)
