"""What the cluster says of topics and partitions: ids, numbers of partitions, first and last offsets."""

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.adapters.kafka.patience import never, persist, result_of
from worker.domain.records import Stopping, TopicPartition

_ASK_EVERY: Final = 1.0
"""Seconds from an answer to the next request: how late a change of a topic is noticed at most."""
_NO_ID: Final = "A" * 22
"""What brokers send that know no topic ids."""
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID})


class TopicFact(NamedTuple):
    """What is known of a topic.

    Attributes:
        topic_id: a topic that is deleted and created again gets another one; None where brokers tell none.
        partitions: how many there are; 0 if the topic does not exist.
    """

    topic_id: str | None
    partitions: int


class Bounds(NamedTuple):
    """Offsets of a partition: of its oldest record, and of the one that will be written next."""

    first: int
    end: int


class TopicFacts:
    """Asks about some topics again and again, without waiting for the answers.

    Args:
        admin: a client of the cluster.
        topics: their names.
    """

    def __init__(self, admin: AdminClient, topics: Sequence[str]) -> None:
        self._admin = admin
        self._topics = topics
        self._asked: Mapping[str, Future[Any]] = {}
        self._ask_at = 0.0
        self.known: Mapping[str, TopicFact] = {}

    def ask(self, *, within: float, stopping: Stopping = never) -> None:
        """Ask, and wait for the answer, which is `known` then.

        Raises:
            KafkaException: no broker answered in time.
            Stopped: the worker was told to stop meanwhile.
        """
        self.known = persist(self._describe, within=within, stopping=stopping)
        self._asked, self._ask_at = {}, time.monotonic() + _ASK_EVERY

    def is_news(self) -> bool:
        """Tell whether an answer has come since the last call; it is `known` then. Takes no time."""
        if not self._asked:
            if time.monotonic() >= self._ask_at:
                self._asked = self._request(_ASK_EVERY)
            return False
        if not all(answer.done() for answer in self._asked.values()):
            return False
        asked, self._asked, self._ask_at = self._asked, {}, time.monotonic() + _ASK_EVERY
        try:
            self.known = self._read(asked, within=0)
        except KafkaException:  # the next read or write fails too, and tells the cause
            return False
        return True

    def bounds(
        self, partitions: Collection[TopicPartition], *, within: float, stopping: Stopping = never
    ) -> Mapping[TopicPartition, Bounds]:
        """Return the offsets that partitions begin and end with, records of open transactions included.

        Raises:
            KafkaException: the brokers refuse to tell, or did not answer in time.
            Stopped: the worker was told to stop meanwhile.
        """
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]

        def ask(limit: float) -> Mapping[TopicPartition, Bounds]:
            first, end = self._offsets(partitions, earliest, limit), self._offsets(partitions, latest, limit)
            return {each: Bounds(first[each], end[each]) for each in partitions}

        return persist(ask, within=within, stopping=stopping)

    def _offsets(
        self, partitions: Collection[TopicPartition], wanted: OffsetSpec, limit: float
    ) -> Mapping[TopicPartition, int]:
        asked = self._admin.list_offsets({Partition(*each): wanted for each in partitions}, request_timeout=limit)
        return {TopicPartition(p.topic, p.partition): result_of(each, limit).offset for p, each in asked.items()}

    def _describe(self, limit: float) -> Mapping[str, TopicFact]:
        return self._read(self._request(limit), within=limit)

    def _request(self, limit: float) -> Mapping[str, Future[Any]]:
        names = TopicCollection(list(self._topics))
        return self._admin.describe_topics(names, request_timeout=limit)

    def _read(self, asked: Mapping[str, Future[Any]], *, within: float) -> Mapping[str, TopicFact]:
        found = {}
        for name, answer in asked.items():
            try:
                described = result_of(answer, within)
            except KafkaException as error:
                code = error.args[0].code()
                if code in _MISSING:
                    found[name] = TopicFact(None, 0)
                elif code != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise
            else:
                topic_id = str(described.topic_id)
                found[name] = TopicFact(None if topic_id == _NO_ID else topic_id, len(described.partitions))
        return found
