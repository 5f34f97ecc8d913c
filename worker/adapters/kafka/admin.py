"""Look up topics with their configuration and this user's rights, create topics, and change them."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from worker.adapters.kafka.connection import Connection
from worker.adapters.kafka.deadline import call_within
from worker.adapters.kafka.messages import Options, make_client
from worker.domain.errors import WorkerError

T = TypeVar("T")

_PROTOCOLS: Final = "group.coordinator.rebalance.protocols"
"""The broker setting that lists its group protocols; older brokers do not have it."""
BROKERS_DEFAULT: Final = -1
"""The replication factor of `default.replication.factor`, which the brokers have (KIP-464)."""
_NO_TOPIC: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION})
_NO_RIGHT: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_CORRECT: Final[Mapping[int, str]] = {
    KafkaError.INVALID_REPLICATION_FACTOR: "ask for a replication factor of at most the number of brokers",
    KafkaError.INVALID_CONFIG: "correct the name and the value of this configuration",
    KafkaError.POLICY_VIOLATION: "ask the people who run the brokers, which have a policy for topics",
}
"""What to do about the errors of a change."""


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
        replication_factor: copies of each partition; None if it is not known.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    config_hidden: bool = False
    rights: frozenset[str] | None = None
    offline: tuple[int, ...] = ()
    replication_factor: int | None = None


class KafkaAdmin:
    """Queries the cluster, with a time limit for each request.

    Args:
        options: librdkafka options under their own names.
        timeout: seconds for each request, with all its attempts. A signal ends it at once.
        waiting: is called after each attempt that failed, with the cause.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        options: Options,
        *,
        timeout: float = 10.0,
        waiting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._timeout = timeout
        self._waiting = waiting
        self._connection = Connection(bootstrap_servers, options)
        self._client = make_client(
            AdminClient, options, {"allow.auto.create.topics": False, **self._connection.callbacks()}
        )

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return those of the named topics that exist.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not see one of the topics.
        """
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        described = self._ask(lambda limit: self._describe(wanted, limit))
        found = {name: each for name, each in described.items() if each is not None}
        configs = self._ask(lambda limit: self._configs(found, limit))
        return {
            name: Topic(
                name,
                len(each.partitions),
                configs[name] or {},
                config_hidden=configs[name] is None,
                rights=_rights(each.authorized_operations),
                offline=tuple(p.id for p in each.partitions if p.leader is None or p.leader.id < 0),
                replication_factor=min((len(p.replicas) for p in each.partitions), default=None),
            )
            for name, each in found.items()
        }

    def names(self) -> list[str]:
        """Return the names of all topics that this user may see.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        return sorted(self._ask(self._metadata).topics)

    def group_rights(self, group: str) -> frozenset[str] | None:
        """Return what this user may do with a consumer group, which need not exist; None if the brokers do not tell.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        # A new cluster creates the topic of groups on first use, and has no coordinator until then.
        return self._ask(lambda limit: self._group_rights(group, limit))

    def create(self, topics: Iterable[Topic], *, replication_factor: int = BROKERS_DEFAULT) -> None:
        """Create topics, and wait until a broker knows them; existing topics are left unchanged.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not create topics.
            WorkerError: the brokers did not create one of them.
        """
        wanted = [NewTopic(t.name, t.partitions, replication_factor, config=dict(t.config)) for t in topics]
        self._ask(lambda _: None)  # the brokers can be reached
        for name, created in self._client.create_topics(wanted, operation_timeout=self._timeout).items():
            _done(created, name, "was not created", right="Create", unless=KafkaError.TOPIC_ALREADY_EXISTS)
        if wanted:  # a broker learns of a new topic a moment later
            self._ask(lambda limit: self._find([new.topic for new in wanted], limit))

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics with all records; there need not be such a topic.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not delete topics.
            WorkerError: the brokers did not delete one of them.
        """
        self._ask(lambda _: None)
        for name, deleted in self._client.delete_topics(list(names), operation_timeout=self._timeout).items():
            _done(deleted, name, "was not deleted", right="Delete", unless=KafkaError.UNKNOWN_TOPIC_OR_PART)

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's configuration; the rest stays.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not do it.
            WorkerError: the brokers refuse it.
        """
        entries = [
            ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET) for option, value in config.items()
        ]
        self._ask(lambda _: None)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        (answer,) = self._client.incremental_alter_configs([resource], request_timeout=self._timeout).values()
        _done(answer, name, "was not configured", right="AlterConfigs")

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions, so that it has this number.

        Raises:
            BrokerUnreachable: no broker answered in time.
            NotAllowed: this user may not do it.
            WorkerError: the brokers refuse it.
        """
        self._ask(lambda _: None)
        (answer,) = self._client.create_partitions(
            [NewPartitions(name, total)], operation_timeout=self._timeout
        ).values()
        _done(answer, name, "got no more partitions", right="Alter")

    def has_consumer_protocol(self) -> bool:
        """Tell whether every broker supports the group protocol of KIP-848; False if this user may not ask.

        Raises:
            BrokerUnreachable: no broker answered in time.
        """
        brokers = self._ask(self._metadata).brokers
        asked = [ConfigResource(ResourceType.BROKER, str(number)) for number in brokers]
        # One request per broker: each describes only itself.
        answers = [self._client.describe_configs([one], request_timeout=self._timeout)[one] for one in asked]
        try:
            named = [answer.result().get(_PROTOCOLS) for answer in answers]
        except KafkaException:  # without permission to describe brokers, take the classic protocol, which all support
            return False
        return all(entry is not None and "consumer" in (entry.value or "").split(",") for entry in named)

    def _find(self, names: list[str], within: float) -> None:
        for answer in self._client.describe_topics(TopicCollection(names), request_timeout=within).values():
            try:
                answer.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:  # this user may not see it
                    raise

    def _group_rights(self, group: str, within: float) -> frozenset[str] | None:
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

    def _describe(self, names: list[str], within: float) -> dict[str, Any]:
        """Return the descriptions of topics; None for those that do not exist."""
        answers = self._client.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=within
        )
        return {name: _described(name, answers[name]) for name in names}

    def _configs(self, names: Iterable[str], within: float) -> dict[str, dict[str, str] | None]:
        """Return the configurations of topics; None for those that this user may not read."""
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
        # One request for each: of some topics, this user may not read the configuration.
        answers = {
            name: self._client.describe_configs([one], request_timeout=within)[one] for name, one in resources.items()
        }
        return {name: _config(answer) for name, answer in answers.items()}

    def _ask(self, request: Callable[[float], T]) -> T:
        """Repeat a request until it is answered."""

        def attempt(within: float) -> T:
            # Any broker tells which one is the controller, to which requests go. Without this, librdkafka stays with a
            # controller that has ended.
            self._metadata(within)
            return request(within)

        return self._connection.until_answered(attempt, self._client.poll, self._timeout, self._waiting)

    def _metadata(self, within: float) -> ClusterMetadata:
        # In a thread, so that a signal ends it at once.
        return call_within(within, lambda seconds: self._client.list_topics(timeout=seconds))


def _done(answer: Future[Any], name: str, failed: str, *, right: str, unless: int | None = None) -> None:
    """Wait until a change is done.

    Args:
        answer: of the brokers.
        name: of the topic.
        failed: says that the change was not made.
        right: what the user must be allowed to do.
        unless: the code of an error that means that nothing had to be done.
    """
    try:
        answer.result()
    except KafkaException as error:
        code, cause = error.args[0].code(), error.args[0].str().rstrip(".")
        if code == unless:
            return
        if code in _NO_RIGHT:
            raise NotAllowed(f"topic {name!r} {failed}: {cause}; allow this user to {right} it, with an ACL") from error
        what_to_do = _CORRECT.get(code, "correct that, and try again")
        raise WorkerError(f"topic {name!r} {failed}: {cause}; {what_to_do}") from error


def _described(name: str, answer: Future[Any]) -> Any:
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
        raise


def _config(answer: Future[Any]) -> dict[str, str] | None:
    try:
        return {key: entry.value for key, entry in answer.result().items()}
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:  # the worker can still run
            return None
        if code in _NO_TOPIC:  # it was deleted since
            return {}
        raise


def _rights(operations: Iterable[Any] | None) -> frozenset[str] | None:
    return None if operations is None else frozenset(each.name for each in operations)
