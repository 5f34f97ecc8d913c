"""What topics are there and how they are set up; creates them for a laptop."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, make_client
from worker.domain.errors import WorkerError

_PROTOCOLS: Final = "group.coordinator.rebalance.protocols"
"""The broker setting that lists the group protocols it has; older brokers do not know it."""


class BrokerUnreachable(WorkerError):
    """No broker answered."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker has it, or as it is wanted.

    Attributes:
        config: the topic's settings under Kafka's own names.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


class KafkaAdmin:
    """Asks the cluster, within a time limit.

    Args:
        options: librdkafka options under their own names.
        timeout: seconds for each question.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, timeout: float = 10.0) -> None:
        self._servers = bootstrap_servers
        self._timeout = timeout
        self._client = make_client(
            AdminClient, options, {"bootstrap.servers": bootstrap_servers, "logger": RDKAFKA_LOG}
        )

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return those of the named topics that exist.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        try:
            metadata = self._client.list_topics(timeout=self._timeout)
        except KafkaException as error:
            raise self._unreachable(error) from error
        found = {name: len(metadata.topics[name].partitions) for name in names if name in metadata.topics}
        return {name: Topic(name, count, self._config(name)) for name, count in found.items()}

    def create(self, topics: Iterable[Topic], *, replication_factor: int = 1) -> None:
        """Create topics; those that exist already are left as they are.

        Raises:
            BrokerUnreachable: the broker did not create one of them.
        """
        wanted = [NewTopic(t.name, t.partitions, replication_factor, config=dict(t.config)) for t in topics]
        for name, created in self._client.create_topics(wanted, operation_timeout=self._timeout).items():
            try:
                created.result()
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise BrokerUnreachable(f"topic {name!r} was not created: {error.args[0].str()}") from error

    def has_consumer_protocol(self) -> bool:
        """Tell whether every broker has the group protocol of KIP-848, as far as we may know.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        try:
            brokers = self._client.list_topics(timeout=self._timeout).brokers
        except KafkaException as error:
            raise self._unreachable(error) from error
        asked = [ConfigResource(ResourceType.BROKER, str(number)) for number in brokers]
        # A question each: a broker answers for itself alone.
        answers = [self._client.describe_configs([one], request_timeout=self._timeout)[one] for one in asked]
        try:
            named = [answer.result().get(_PROTOCOLS) for answer in answers]
        except KafkaException:  # a user who may not describe brokers takes the protocol that every broker has
            return False
        return all(entry is not None and "consumer" in (entry.value or "").split(",") for entry in named)

    def _unreachable(self, error: KafkaException) -> BrokerUnreachable:
        return BrokerUnreachable(
            f"no broker answered at {self._servers} within {self._timeout:.0f} s: {error.args[0].str()}"
        )

    def _config(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        (answer,) = self._client.describe_configs([resource], request_timeout=self._timeout).values()
        try:
            return {key: entry.value for key, entry in answer.result().items()}
        except KafkaException:  # a user who may not describe configs can still run the worker
            return {}
