"""Frames from Kafka: a member of a consumer group."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition

from worker.adapters.kafka.messages import (
    RDKAFKA_LOG,
    Options,
    from_commit,
    log,
    log_error,
    make_client,
    record_of,
    to_commit,
)
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SourceLost
from worker.domain.records import OnCommitted, OnPartitions, Record, TopicPartition

_PASSING: Final = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
)
"""Events that come out of a poll and that waiting, or the rebalance that follows, takes care of."""

ANSWER_WITHIN: Final = 30.0
"""Seconds a broker has at the start."""

CONSUMER_DEFAULTS: Final[Options] = {
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 10,
    "socket.nagle.disable": True,
    # By default up to ten seconds pass after an outage before a broker that is back is noticed.
    "reconnect.backoff.max.ms": 2_000,
}


class KafkaSource:
    """A member of a consumer group.

    Args:
        options: librdkafka options under their own names; they override the defaults above.
        max_poll_records: most records one poll returns.
        max_poll_bytes: bytes at which a poll returns what it has.
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
                "bootstrap.servers": bootstrap_servers,
                "group.id": group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "on_commit": self._commit_answered,
                "error_cb": log_error,
                "logger": RDKAFKA_LOG,
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
        """Join the group; the callbacks run inside later polls and commits.

        Raises:
            SourceLost: no broker answers, or there is no such topic.
        """
        self._on_committed = on_committed

        def assigned(_: Consumer, partitions: list[Partition]) -> None:
            on_assigned(_domain(partitions))

        def revoked(_: Consumer, partitions: list[Partition]) -> None:
            self._let_go(partitions)
            on_revoked(_domain(partitions))

        def lost(_: Consumer, partitions: list[Partition]) -> None:
            self._let_go(partitions)
            on_lost(_domain(partitions))

        self._find_topic()
        self._consumer.subscribe([self._topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def poll(self, timeout: float) -> Sequence[Record] | None:
        """Wait for a first record, then take what is already here; never ends by itself."""
        self._polled, size = [], 0
        message = self._consumer.poll(timeout)
        while message is not None:
            if (error := message.error()) is not None:
                self._judge(error)
            else:
                record = record_of(message)
                self._polled.append(record)
                size += len(record.value or b"")
            if len(self._polled) >= self._max_poll_records or size >= self._max_poll_bytes:
                break
            message = self._consumer.poll(0)
        # Theirs from here on: a callback outside of a poll must not take anything out of it.
        polled, self._polled = self._polled, []
        return polled

    def checkpoints(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Checkpoint]:
        """Ask the group's coordinator; it waits for a transaction that a dead worker has left open."""
        asked = [Partition(each.topic, each.partition) for each in partitions]
        try:
            answered = self._consumer.committed(asked, timeout=ANSWER_WITHIN)
        except KafkaException as error:
            raise self._unknown_checkpoints(error.args[0]) from error
        if failed := next((each.error for each in answered if each.error), None):
            raise self._unknown_checkpoints(failed)
        return from_commit(answered)

    def commit(self, checkpoints: Mapping[TopicPartition, Checkpoint], *, wait: bool) -> None:
        """Commit checkpoints; `on_committed` hears the outcome, in a later poll if this does not wait."""
        wanted = to_commit(checkpoints)
        try:
            if wait:
                # No limit can be given; librdkafka's is socket.timeout.ms. From another thread it would never return
                # while this one is in a rebalance callback.
                self._commit_answered(None, self._consumer.commit(offsets=wanted, asynchronous=False) or [])
            else:
                self._consumer.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            self._commit_answered(error.args[0], wanted)

    def lag(self) -> Mapping[TopicPartition, int]:
        """Tell the lag of partitions that have been read from, by what the last fetches said."""
        found = {}
        for held in self._consumer.position(self._consumer.assignment()):
            if held.offset >= 0:
                _, high = self._consumer.get_watermark_offsets(held, cached=True)
                found[TopicPartition(held.topic, held.partition)] = max(0, high - held.offset)
        return found

    def group_metadata(self) -> Any:
        """Return who we are in the group now: what a transaction shows the broker for our offsets."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _find_topic(self) -> None:
        """Look before joining: with the newer group protocol nobody says that a topic is missing."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=ANSWER_WITHIN).topics[self._topic]
        except KafkaException as error:
            raise SourceLost(f"no broker answered within {ANSWER_WITHIN:.0f} s: {error.args[0].str()}") from error
        if found.error is not None:
            self._judge(found.error)

    def _let_go(self, partitions: list[Partition]) -> None:
        """Drop what this very poll has collected of partitions that it then took away."""
        gone = set(_domain(partitions))
        self._polled[:] = [record for record in self._polled if record.position.partition not in gone]

    def _judge(self, error: KafkaError) -> None:
        if error.fatal() or error.code() not in _PASSING:
            raise SourceLost(
                f"reading topic {self._topic!r} failed: {error.str()} ({error.name()}); "
                "check that the topic exists and that this worker may read it: vision-worker check"
            )
        log.warning("source", error=error.str())

    def _commit_answered(self, error: KafkaError | None, answered: list[Partition]) -> None:
        """Tell what was stored: the whole commit may have failed, or single partitions of it."""
        failed = error or next((each.error for each in answered if each.error), None)
        stored = [] if error else [each for each in answered if not each.error]
        self._on_committed(from_commit(stored), None if failed is None else failed.str())

    def _unknown_checkpoints(self, error: KafkaError) -> SourceLost:
        return SourceLost(
            f"the committed offsets of topic {self._topic!r} cannot be read: {error.str()} ({error.name()}); "
            "check that the group's coordinator is up, and start the worker again"
        )


def _domain(partitions: list[Partition]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(each.topic, each.partition) for each in partitions)
