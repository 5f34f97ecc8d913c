"""Whether the brokers that a worker needs can be reached now: neither its consumer nor its producer tells that."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException
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


class _Clients(NamedTuple):
    """The clients of a probe.

    Attributes:
        admin: asks leaders.
        observer: asks the coordinator, and never joins the group. An admin client that asks one ends the process if the
            connection to it is lost meanwhile (librdkafka 2.16).
    """

    admin: AdminClient
    observer: Consumer
    connection: Connection

    def poll(self, timeout: float) -> None:
        """Let both report."""
        self.observer.poll(0)
        self.admin.poll(timeout)


class BrokerProbe:
    """Asks leaders of partitions and the group's coordinator, with clients of its own: so nothing waits for it.

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
        self._clients: _Clients | None = None
        self._unreached = self._brokers()

    def ask(self, assigned: Collection[TopicPartition]) -> Unreached | None:
        """Ask once, and wait for the answers.

        Args:
            assigned: the partitions of the frames that the worker reads.

        Returns:
            Who did not answer within `WITHIN` seconds; None if all did.
        """
        clients = self._clients or self._make_clients()
        connection, numbers = clients.connection, sorted(each.partition for each in assigned)
        try:
            connection.until_answered(lambda limit: self._ask(clients, numbers, limit), clients.poll, WITHIN)
        except BrokerUnreachable:
            # A client that was connected during an outage may never answer again, and its connection tells how the
            # outage began: a new one tells why it lasts.
            self._clients = None
            clients.observer.close()
            return self._unreached._replace(cause=connection.cause(self._unreached.cause))
        clients.poll(0)  # else what they report stays in their queues
        self._clients = clients
        return None

    def _make_clients(self) -> _Clients:
        connection = Connection(self._servers, self._options)
        # A client that asks about a topic would also create it.
        required = {"allow.auto.create.topics": False, **connection.callbacks()}
        # Otherwise an open transaction of the group counts as no answer.
        of_group = {"group.id": self._group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
        return _Clients(
            make_client(AdminClient, self._options, required),
            make_client(Consumer, self._options, of_group, required),
            connection,
        )

    def _ask(self, clients: _Clients, numbers: Sequence[int], limit: float) -> None:
        """Raise KafkaException unless all of them answer; `_unreached` then says which ones do not.

        Any broker tells who leads. It is asked first: otherwise librdkafka may stay with a leader that has ended.
        """
        self._unreached, deadline = self._brokers(), time.monotonic() + limit
        leaderless, wanted = list[TopicPartition](), list[TopicPartition]()
        for topic in self._topics if numbers else self._topics[:1]:
            told = clients.admin.list_topics(topic, timeout=max(0.1, deadline - time.monotonic())).topics[topic]
            if told.error is None or told.error.code() in _UNKNOWN:  # any other error is an answer
                for each in (TopicPartition(topic, number) for number in numbers):
                    led = each.partition in told.partitions and told.partitions[each.partition].leader >= 0
                    (wanted if led else leaderless).append(each)
        if leaderless:
            cause = "there are none; start the brokers that have their replicas, and check that the topic exists"
            self._unreached = Unreached(f"the leaders of {_some(leaderless)}", cause)
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        self._unreached = Unreached(f"the leaders of {_some(wanted)}, or some of them", self._brokers().cause)
        self._ask_leaders(clients.admin, wanted, deadline)
        self._unreached = Unreached(f"the coordinator of group {self._group!r}", self._brokers().cause)
        # It answers with the group's offset of any partition: which one does not matter.
        asked = Partition(self._topics[0], numbers[0] if numbers else 0)
        within = max(0.1, deadline - time.monotonic())
        _answered(lambda: clients.observer.committed([asked], timeout=within))

    def _ask_leaders(self, client: AdminClient, wanted: Iterable[TopicPartition], deadline: float) -> None:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked, limit = {Partition(*each): latest for each in wanted}, max(0.1, deadline - time.monotonic())
        for answer in client.list_offsets(asked, request_timeout=limit).values() if asked else ():
            _answered(partial(result_of, answer, max(0.0, deadline - time.monotonic())))

    def _brokers(self) -> Unreached:
        return Unreached(f"the brokers at {self._servers}", "check that every broker of the cluster is up")


def _answered(ask: Callable[[], object]) -> None:
    """Raise KafkaException unless the broker that is asked answers, and need not be asked again."""
    try:
        ask()
    except KafkaException as error:
        if is_passing(error.args[0]) or error.args[0].code() < 0:
            raise


def _some(partitions: Collection[TopicPartition]) -> str:
    named = [str(each) for each in partitions][:_SHOWN]
    more = len(partitions) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
