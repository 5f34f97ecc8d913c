"""Look up topics with their configuration and this user's rights, and create topics."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from worker.adapters.kafka.connection import BrokerUnreachable, Connection
from worker.adapters.kafka.messages import Options, make_client
from worker.domain.errors import WorkerError

_PROTOCOLS: Final = "group.coordinator.rebalance.protocols"
"""The broker setting that lists its group protocols; older brokers do not have it."""
_NO_TOPIC: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION})


class NotAllowed(WorkerError):
    """The brokers refuse a request of this user."""


@dataclass(frozen=True, slots=True)
class Topic:
    """An existing topic, or a topic to create.

    Attributes:
        config: the topic's configuration, under Kafka's own names.
        config_hidden: this user may not read the configuration, so it is empty.
        rights: what this user may do with it, in Kafka's words such as READ; None if the brokers do not tell.
        offline: the partitions without a leader, which nobody can read or write.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    config_hidden: bool = False
    rights: frozenset[str] | None = None
    offline: tuple[int, ...] = ()


class KafkaAdmin:
    """Queries the cluster, with a time limit for each request.

    Args:
        options: librdkafka options under their own names.
        timeout: seconds for each request.
    """

    def __init__(self, bootstrap_servers: str, options: Options, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._connection = Connection(bootstrap_servers, options)
        self._client = make_client(
            AdminClient, options, {"allow.auto.create.topics": False, **self._connection.callbacks()}
        )

    def connect(self, within: float, waiting: Callable[[str], None] = lambda _: None) -> None:
        """Wait until a broker answers; a signal ends it at once.

        Args:
            within: seconds to wait. If the brokers refuse this user, waiting does not help, so it ends earlier.
            waiting: is called again and again while no broker answers, with the cause.

        Raises:
            BrokerUnreachable: no broker answered in time, or they refuse this user; the text has the cause.
        """
        self._connection.until_answered(
            lambda limit: self._client.describe_cluster(request_timeout=limit).result(),
            self._client.poll,
            within,
            waiting,
        )

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return those of the named topics that exist.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not see one of the topics.
        """
        wanted = list(dict.fromkeys(names))
        self.connect(self._timeout)
        if not wanted:
            return {}
        answers = self._client.describe_topics(
            TopicCollection(wanted), include_authorized_operations=True, request_timeout=self._timeout
        )
        found = {name: described for name in wanted if (described := self._described(name, answers[name]))}
        configs = self._configs(found)
        return {
            name: Topic(
                name,
                len(each.partitions),
                configs[name] or {},
                config_hidden=configs[name] is None,
                rights=_rights(each.authorized_operations),
                offline=tuple(p.id for p in each.partitions if p.leader is None or p.leader.id < 0),
            )
            for name, each in found.items()
        }

    def group_rights(self, group: str) -> frozenset[str] | None:
        """Return what this user may do with a consumer group, which need not exist; None if the brokers do not tell.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        # A new cluster creates the topic of groups on first use, and has no coordinator until then.
        return self._connection.until_answered(
            lambda limit: self._ask_group_rights(group, limit), self._client.poll, self._timeout
        )

    def create(self, topics: Iterable[Topic], *, replication_factor: int = 1) -> None:
        """Create topics; existing topics are left unchanged.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not create topics.
            WorkerError: the brokers did not create one of them.
        """
        wanted = [NewTopic(t.name, t.partitions, replication_factor, config=dict(t.config)) for t in topics]
        self.connect(self._timeout)
        for name, created in self._client.create_topics(wanted, operation_timeout=self._timeout).items():
            try:
                created.result()
            except KafkaException as error:
                refused = error.args[0]
                if refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise NotAllowed(
                        f"topic {name!r} was not created: {refused.str()}; allow this user to Create it"
                    ) from error
                if refused.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise WorkerError(
                        f"topic {name!r} was not created: {refused.str()}; correct that, and try again"
                    ) from error

    def has_consumer_protocol(self) -> bool:
        """Tell whether every broker supports the group protocol of KIP-848; False if this user may not ask.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        self.connect(self._timeout)
        try:
            brokers = self._client.describe_cluster(request_timeout=self._timeout).result().nodes
        except KafkaException as error:
            raise self._unreachable(error) from error
        asked = [ConfigResource(ResourceType.BROKER, str(broker.id)) for broker in brokers]
        # One request per broker: each describes only itself.
        answers = [self._client.describe_configs([one], request_timeout=self._timeout)[one] for one in asked]
        try:
            named = [answer.result().get(_PROTOCOLS) for answer in answers]
        except KafkaException:  # without permission to describe brokers, take the classic protocol, which all support
            return False
        return all(entry is not None and "consumer" in (entry.value or "").split(",") for entry in named)

    def _ask_group_rights(self, group: str, within: float) -> frozenset[str] | None:
        answers = self._client.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=within
        )
        try:
            return _rights(answers[group].result().authorized_operations)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                return frozenset()
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return None
            raise

    def _described(self, name: str, answer: Future[Any]) -> Any:
        """Return the description of a topic; None if it does not exist."""
        try:
            return answer.result()
        except KafkaException as error:
            code = error.args[0].code()
            if code in _NO_TOPIC:
                return None
            if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise NotAllowed(
                    f"this user may not see topic {name!r}, if it exists: allow it to Describe the topic"
                ) from error
            raise self._unreachable(error) from error

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str] | None]:
        """Return the configurations of topics; None for those that this user may not read."""
        found: dict[str, dict[str, str] | None] = {}
        for name in names:
            resource = ConfigResource(ResourceType.TOPIC, name)
            (answer,) = self._client.describe_configs([resource], request_timeout=self._timeout).values()
            try:
                found[name] = {key: entry.value for key, entry in answer.result().items()}
            except KafkaException:  # without permission to describe configs, the worker can still run
                found[name] = None
        return found

    def _unreachable(self, error: KafkaException) -> BrokerUnreachable:
        self._client.poll(0)
        return self._connection.unreachable(error, self._timeout)


def _rights(operations: Iterable[Any] | None) -> frozenset[str] | None:
    return None if operations is None else frozenset(each.name for each in operations)
