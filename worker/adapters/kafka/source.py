"""Read frames from Kafka as a member of a consumer group."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient

from worker.adapters.kafka.advice import on_reading
from worker.adapters.kafka.assignment import Assignment
from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.messages import Options, from_commit, log, make_client, record_of, to_commit
from worker.adapters.kafka.patience import never, persist
from worker.adapters.kafka.topic_facts import Bounds, TopicFacts
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import SourceLost
from worker.domain.extents import Extent
from worker.domain.records import (
    OnCommitted,
    OnMissed,
    OnPartitions,
    OnWaiting,
    Record,
    Stopping,
    TopicPartition,
)

_TRANSIENT: Final = frozenset({KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})
"""Errors from a poll that end by waiting, or by the rebalance that follows."""

_OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})
"""The offset to be read is not there: older records were deleted, or the log ends before it."""

ANSWER_WITHIN: Final = 30.0
"""Seconds within which a broker must answer at the start."""

CONSUMER_DEFAULTS: Final[Options] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 10,
    "socket.nagle.disable": True,
    # By default, it takes up to ten seconds until a recovered broker is noticed.
    "reconnect.backoff.max.ms": 2_000,
}


_MISSING_AT_MOST: Final = 2
"""Answers in a row without the topic after which it is believed: a broker that has just started may not know it."""

_FIRST: Final = frozenset({"earliest", "smallest", "beginning"})
_END: Final = frozenset({"latest", "largest", "end"})
"""Values of `auto.offset.reset`: where a group begins that has committed nothing. It says nothing of an offset that is
out of range: then records are gone, or others have taken their place, and that is never passed over in silence."""


class KafkaSource:
    """A member of a consumer group.

    Args:
        options: librdkafka options under their own names; they override the defaults above.
        outputs: topics that need a partition for each that is read; partitions without one wait.
        cluster: librdkafka options of a client that only asks about topics.
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
        outputs: Collection[str] = (),
        cluster: Options | None = None,
    ) -> None:
        self._topic = topic
        self._outputs = outputs
        self._group_id = group_id
        self._connection = Connection(bootstrap_servers, options)
        self._max_poll_records = max_poll_records
        self._max_poll_bytes = max_poll_bytes
        self._polled: list[Record] = []
        self._ended: dict[TopicPartition, int] = {}
        self._passed: dict[TopicPartition, int] = {}
        self._waiting = set[TopicPartition]()
        self._missing = 0
        self._topic_id: str | None = None
        self._begins_at = str(options.get("auto.offset.reset", "earliest"))
        defaults = dict(CONSUMER_DEFAULTS)
        is_newer = options.get("group.protocol") == "consumer"
        if is_newer:
            del defaults["partition.assignment.strategy"]  # KIP-848: the broker assigns
        self._consumer = make_client(
            Consumer,
            defaults,
            options,
            {
                "group.id": group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",  # the worker decides: librdkafka would not tell
                "on_commit": self._commit_answered,
                **self._connection.callbacks(),
            },
        )
        strategy = str((defaults | dict(options)).get("partition.assignment.strategy", ""))
        self._assignment = Assignment(self._consumer, is_cooperative=is_newer or "cooperative" in strategy)
        admin = {"allow.auto.create.topics": False, **Connection(bootstrap_servers, cluster or {}).callbacks()}
        self._facts = TopicFacts(make_client(AdminClient, cluster or {}, admin), [topic, *outputs])

    def subscribe(
        self,
        *,
        on_assigned: OnPartitions,
        on_revoked: OnPartitions,
        on_lost: OnPartitions,
        on_committed: OnCommitted,
        on_missed: OnMissed,
        on_waiting: OnWaiting,
    ) -> None:
        """Join the group; the callbacks are called within later polls and commits.

        Raises:
            SourceLost: no broker answers, or there is no such topic.
        """
        self._on_assigned, self._on_lost = on_assigned, on_lost
        self._on_committed, self._on_missed, self._on_waiting = on_committed, on_missed, on_waiting

        def assigned(_: Consumer, partitions: list[Partition]) -> None:
            names = _domain(partitions)
            self._assignment.add(names)
            waiting = {each for each in names if self._too_narrow(each)}
            if waiting:
                self._set_waiting(self._waiting | waiting)
            on_assigned(names - waiting)

        def revoked(_: Consumer, partitions: list[Partition]) -> None:
            self._drop(_domain(partitions))
            on_revoked(self._remove(partitions))

        def lost(_: Consumer, partitions: list[Partition]) -> None:
            self._drop(_domain(partitions))
            on_lost(self._remove(partitions))

        self._check_topic()
        with suppress(KafkaException):  # without ids and numbers of partitions, the worker can still run
            self._facts.ask(within=ANSWER_WITHIN)
        self._consumer.subscribe([self._topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def poll(self, timeout: float) -> Sequence[Record] | None:
        """Wait for a first record, then return it with those that were prefetched; never returns None."""
        if self._facts.is_news():
            self._take_news()
        self._polled, size = [], 0
        message = self._consumer.poll(timeout)
        while message is not None:
            if (error := message.error()) is not None:
                self._take_error(error, message)
            else:
                record = record_of(message)
                self._polled.append(record)
                size += len(record.value or b"")
            if len(self._polled) >= self._max_poll_records or size >= self._max_poll_bytes:
                break
            message = self._consumer.poll(0)
        if self._assignment.held:
            self._drop(self._assignment.held)
        # The caller owns the list from here on: a callback outside of a poll must not remove records from it.
        polled, self._polled = self._polled, []
        if self._ended:
            self._passed, self._ended = self._passed | self._ended, {}
        return polled

    def passed(self) -> Mapping[TopicPartition, int]:
        """Return the ends that the polls so far have come to; control records of transactions lie before them too."""
        if not self._passed:
            return self._passed
        passed, self._passed = self._passed, {}
        return passed

    def checkpoints(
        self, partitions: Collection[TopicPartition], stopping: Stopping
    ) -> Mapping[TopicPartition, Checkpoint]:
        """Read the group's checkpoints; waits for a transaction that a dead worker has left open."""
        requested = [Partition(each.topic, each.partition) for each in partitions]

        def ask(limit: float) -> list[Partition]:
            answered = self._consumer.committed(requested, timeout=limit)
            if failed := next((each.error for each in answered if each.error), None):
                raise KafkaException(failed)
            return answered

        try:
            return from_commit(persist(ask, within=ANSWER_WITHIN, stopping=stopping))
        except KafkaException as error:
            raise self._unknown_checkpoints(error.args[0]) from error

    def extents(self, partitions: Collection[TopicPartition], stopping: Stopping) -> Mapping[TopicPartition, Extent]:
        """Ask what partitions hold, control records and records of open transactions included."""
        found = self._ask_bounds(partitions, stopping)
        fact = self._facts.known.get(self._topic)
        topic_id = fact.topic_id if fact else None
        if not self._assignment.begun:
            self._topic_id = topic_id
        return {each: Extent(topic_id, first, end, self._fresh(first, end)) for each, (first, end) in found.items()}

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read partitions of ours from these offsets on."""
        self._assignment.begin(offsets)

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
        for position in self._consumer.position([Partition(*each) for each in self._assignment.begun]):
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

    def _ask_bounds(
        self, partitions: Collection[TopicPartition], stopping: Stopping
    ) -> Mapping[TopicPartition, Bounds]:
        """Ask what the topics are, and then what these partitions hold."""
        try:
            self._facts.ask(within=ANSWER_WITHIN, stopping=stopping)
            return self._facts.bounds(partitions, within=ANSWER_WITHIN, stopping=stopping)
        except KafkaException as error:
            raise SourceLost(
                f"the first and last offsets of topic {self._topic!r} cannot be read: {error.args[0].str()} "
                f"({error.args[0].name()}); check that the topic exists and every broker is up, and start the worker "
                "again"
            ) from error

    def _fresh(self, first: int, end: int) -> int | None:
        if self._begins_at in _FIRST:
            return first
        return end if self._begins_at in _END else None

    def _too_narrow(self, partition: TopicPartition) -> set[str]:
        """Return the outputs that exist and have no partition of this number."""
        known = ((name, self._facts.known.get(name)) for name in self._outputs)
        return {name for name, fact in known if fact and 0 < fact.partitions <= partition.partition}

    def _set_waiting(self, waiting: set[TopicPartition]) -> None:
        if waiting != self._waiting:
            self._waiting = waiting
            self._on_waiting(waiting, sorted(set().union(*map(self._too_narrow, waiting))))

    def _take_news(self) -> None:
        """Act on what has become of the topics."""
        ready = {each for each in self._waiting if not self._too_narrow(each)}
        if ready:
            self._set_waiting(self._waiting - ready)
            self._on_assigned(ready)
        fact = self._facts.known.get(self._topic)
        if fact is None:
            return
        self._missing = self._missing + 1 if fact.partitions == 0 else 0
        if self._missing > _MISSING_AT_MOST:
            raise SourceLost(
                f"topic {self._topic!r} was deleted; create it again, and start the worker again: it begins anew"
            )
        if fact.topic_id not in {None, self._topic_id}:
            former = [each for each in self._assignment.begun if each.partition < fact.partitions]
            if self._topic_id is not None and former:
                self._begin_again(former)
            self._topic_id = fact.topic_id

    def _begin_again(self, partitions: Collection[TopicPartition]) -> None:
        """Let go of partitions whose records are not those that were read, and take them as if they had just come."""
        self._on_lost(partitions)
        self._assignment.hold(partitions)
        self._drop(partitions)
        self._on_assigned(partitions)

    def _take_error(self, error: KafkaError, message: Message) -> None:
        partition = TopicPartition(message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:
            self._ended[partition] = message.offset() or 0
        elif error.code() not in _OUT_OF_RANGE:
            self._raise_unless_transient(error)
        elif partition in self._assignment.begun:
            self._find_range(partition, message.offset())

    def _find_range(self, partition: TopicPartition, offset: int | None) -> None:
        """Go on where records are, and say what was lost: an offset that was to be read is not there."""
        self._assignment.fail(partition)
        first, _ = self._ask_bounds([partition], never)[partition]
        if offset is not None and offset < first:
            self._on_missed(partition, first - offset)
            self._assignment.begin({partition: first})
        else:
            self._begin_again([partition])

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        """Drop what the current poll has collected of partitions which it then loses, or that are held."""
        self._polled[:] = [record for record in self._polled if record.position.partition not in partitions]
        for each in partitions:
            self._ended.pop(each, None)
            self._passed.pop(each, None)

    def _remove(self, partitions: list[Partition]) -> frozenset[TopicPartition]:
        """Forget partitions that go; return those that were announced."""
        names = _domain(partitions)
        announced = names - self._waiting
        self._assignment.remove(names)
        self._set_waiting(self._waiting - names)
        return announced

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
