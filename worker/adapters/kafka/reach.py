"""Whether the brokers that a worker needs can be reached now: neither its consumer nor its producer tells that."""

import time
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.adapters.kafka.connection import BrokerUnreachable, Connection
from worker.adapters.kafka.messages import Options, make_client
from worker.adapters.kafka.patience import is_passing, result_of
from worker.domain.records import TopicPartition

WITHIN: Final = 3.0
"""Seconds within which every broker must answer; several attempts fit."""
_UNKNOWN: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)
"""What a broker says of a topic while it does not know it yet, or no longer."""
_SHOWN: Final = 4
"""Partitions that a text names at most."""


class Unreached(NamedTuple):
    """Brokers that do not answer.

    Attributes:
        whom: which ones.
        cause: why, and what to do.
    """

    whom: str
    cause: str


class BrokerProbe:
    """Asks leaders of partitions and the group's coordinator, with a client of its own: so nothing waits for it.

    Args:
        options: librdkafka options under their own names.
        group: the worker's consumer group.
        topic: of the frames.
        outputs: topics that get results in the partition number of their frame.
    """

    def __init__(
        self, bootstrap_servers: str, options: Options, *, group: str, topic: str, outputs: Collection[str]
    ) -> None:
        self._servers = bootstrap_servers
        self._options = options
        self._group = group
        self._topics = [topic, *outputs]
        self._client: tuple[AdminClient, Connection] | None = None
        self._unreached = self._brokers()

    def ask(self, assigned: Collection[TopicPartition]) -> Unreached | None:
        """Ask once, and wait for the answers.

        Args:
            assigned: the partitions of the frames that the worker reads.

        Returns:
            Who did not answer within `WITHIN` seconds; None if all did.
        """
        client, connection = self._client or self._make_client()
        numbers = sorted(each.partition for each in assigned)
        try:
            connection.until_answered(lambda limit: self._ask(client, numbers, limit), client.poll, WITHIN)
        except BrokerUnreachable:
            # A client that was connected during an outage may never answer again, and its connection tells how the
            # outage began: a new one tells why it lasts.
            self._client = None
            return self._unreached._replace(cause=connection.cause(self._unreached.cause))
        client.poll(0)  # else what it reports stays in its queue
        self._client = client, connection
        return None

    def _make_client(self) -> tuple[AdminClient, Connection]:
        connection = Connection(self._servers, self._options)
        # A client that asks about a topic would also create it.
        required = {"allow.auto.create.topics": False, **connection.callbacks()}
        return make_client(AdminClient, self._options, required), connection

    def _ask(self, client: AdminClient, numbers: Collection[int], limit: float) -> None:
        """Raise KafkaException unless all of them answer; `_unreached` then says which ones do not.

        Any broker tells who leads. It is asked first: otherwise librdkafka may stay with a leader that has ended.
        """
        self._unreached, deadline = self._brokers(), time.monotonic() + limit
        leaderless, wanted = list[TopicPartition](), list[TopicPartition]()
        for topic in self._topics if numbers else self._topics[:1]:
            told = client.list_topics(topic, timeout=max(0.1, deadline - time.monotonic())).topics[topic]
            if told.error is None or told.error.code() in _UNKNOWN:  # any other error is an answer
                for each in (TopicPartition(topic, number) for number in numbers):
                    led = each.partition in told.partitions and told.partitions[each.partition].leader >= 0
                    (wanted if led else leaderless).append(each)
        if leaderless:
            cause = "there are none; start the brokers that have their replicas, and check that the topic exists"
            self._unreached = Unreached(f"the leaders of {_some(leaderless)}", cause)
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        self._unreached = Unreached(f"the leaders of {_some(wanted)}, or some of them", self._brokers().cause)
        self._ask_leaders(client, wanted, deadline)
        self._unreached = Unreached(f"the coordinator of group {self._group!r}", self._brokers().cause)
        self._ask_coordinator(client, deadline)

    def _ask_leaders(self, client: AdminClient, wanted: Iterable[TopicPartition], deadline: float) -> None:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked, limit = {Partition(*each): latest for each in wanted}, max(0.1, deadline - time.monotonic())
        for answer in client.list_offsets(asked, request_timeout=limit).values() if asked else ():
            _await(answer, deadline)

    def _ask_coordinator(self, client: AdminClient, deadline: float) -> None:
        """Whatever it says of the group, it answers. Without it, nothing is assigned and nothing is committed."""
        limit = max(0.1, deadline - time.monotonic())
        for answer in client.describe_consumer_groups([self._group], request_timeout=limit).values():
            _await(answer, deadline)

    def _brokers(self) -> Unreached:
        return Unreached(f"the brokers at {self._servers}", "check that every broker of the cluster is up")


def _await(answer: "Future[object]", deadline: float) -> None:
    """Raise KafkaException unless the broker that was asked answers, and need not be asked again."""
    try:
        result_of(answer, max(0.0, deadline - time.monotonic()))
    except KafkaException as error:
        if is_passing(error.args[0]) or error.args[0].code() < 0:
            raise


def _some(partitions: Collection[TopicPartition]) -> str:
    named = [str(each) for each in partitions][:_SHOWN]
    more = len(partitions) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
