"""Whether the brokers that a worker needs can be reached now: neither its consumer nor its producer tells that."""

import time
from collections.abc import Collection
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
    """Asks the leaders of partitions for their ends, with a client of its own: so nothing waits for it.

    Args:
        options: librdkafka options under their own names.
        topic: of the frames.
        outputs: topics that get results in the partition number of their frame.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, topic: str, outputs: Collection[str]) -> None:
        self._servers = bootstrap_servers
        self._options = options
        self._topic = topic
        self._outputs = outputs
        self._connection = Connection(bootstrap_servers, options)
        self._client: AdminClient | None = None
        self._silent: list[str] = []

    def ask(self, assigned: Collection[TopicPartition]) -> Unreached | None:
        """Ask once, and wait for the answers.

        Args:
            assigned: the partitions of the frames that the worker reads.

        Returns:
            Who did not answer within `WITHIN` seconds; None if all did.
        """
        client = self._client or self._make_client()
        wanted = [TopicPartition(name, each.partition) for name in (self._topic, *self._outputs) for each in assigned]
        try:
            self._connection.until_answered(lambda limit: self._ask(client, wanted, limit), client.poll, WITHIN)
        except BrokerUnreachable:
            self._client = None  # a client that was connected during an outage may never answer again
            return Unreached(self._whom(), self._connection.cause("check that every broker of the cluster is up"))
        self._client = client
        return None

    def _whom(self) -> str:
        if not self._silent:
            return f"the brokers at {self._servers}"
        more = len(self._silent) - _SHOWN
        return f"the leaders of {', '.join(self._silent[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"

    def _make_client(self) -> AdminClient:
        return make_client(AdminClient, self._options, {"log_level": 3, **self._connection.callbacks()})

    def _ask(self, client: AdminClient, wanted: Collection[TopicPartition], limit: float) -> None:
        """Raise KafkaException unless every leader answers; `_silent` then names those that do not, if it is known."""
        self._silent, deadline = [], time.monotonic() + limit
        # Any broker tells who leads: without this, librdkafka may stay with a leader that has ended.
        client.list_topics(self._topic, timeout=limit)
        if not wanted:
            return
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        answers = client.list_offsets({Partition(*each): latest for each in wanted}, request_timeout=limit)
        failed: KafkaError | None = None
        for partition, answer in answers.items():
            try:
                result_of(answer, max(0.0, deadline - time.monotonic()))
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                if is_passing(cause) or cause.code() < 0:  # other answers are of brokers, so they can be reached
                    failed = cause
                    self._silent.append(str(TopicPartition(partition.topic, partition.partition)))
        if failed is not None:
            raise KafkaException(failed)
