"""Look up topics and their configuration, and create topics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, make_client
from worker.domain.errors import WorkerError

_PROTOCOLS: Final = "group.coordinator.rebalance.protocols"
"""The broker setting that lists its group protocols; older brokers do not have it."""


class BrokerUnreachable(WorkerError):
    """No broker answered."""


@dataclass(frozen=True, slots=True)
class Topic:
    """An existing topic, or a topic to create.

    Attributes:
        config: the topic's configuration, under Kafka's own names.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


class KafkaAdmin:
    """Queries the cluster, with a time limit for each request.

    Args:
        options: librdkafka options under their own names.
        timeout: seconds for each request.
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
        """Create topics; existing topics are left unchanged.

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
        """Tell whether every broker supports the group protocol of KIP-848; False if this user may not ask.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        try:
            brokers = self._client.list_topics(timeout=self._timeout).brokers
        except KafkaException as error:
            raise self._unreachable(error) from error
        asked = [ConfigResource(ResourceType.BROKER, str(number)) for number in brokers]
        # One request per broker: each describes only itself.
        answers = [self._client.describe_configs([one], request_timeout=self._timeout)[one] for one in asked]
        try:
            named = [answer.result().get(_PROTOCOLS) for answer in answers]
        except KafkaException:  # without permission to describe brokers, take the classic protocol, which all support
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
        except KafkaException:  # without permission to describe configs, the worker can still run
            return {}
