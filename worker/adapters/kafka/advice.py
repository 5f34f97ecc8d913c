"""What to do about errors of brokers and clients."""

from typing import Final

from confluent_kafka import KafkaError

from worker.adapters.kafka.connection import Connection

ARE_BROKERS_UP: Final = (
    "check that every broker is up, and that as many replicas are in sync as min.insync.replicas says"
)
_SEE_CHECK: Final = "find out more with vision-worker check"


def undelivered(
    topic: str | None, partition: int | None, error: KafkaError, connection: Connection | None = None
) -> str:
    """Return a text with the topic and partition, the error, and what to do.

    Args:
        topic: of the record.
        partition: of the record; None if it is about the whole topic.
        error: what the broker or the client said.
        connection: of the producer; it knows why a record was not sent in time.
    """
    where = f"topic {topic!r}" if partition is None else f"topic {topic!r}, partition {partition}"
    what_to_do = on_writing(error)
    if connection is not None and error.code() == KafkaError._MSG_TIMED_OUT:
        what_to_do = connection.cause(what_to_do)
    return f"{where}: {error.str()} ({error.name()}); {what_to_do}"


def on_writing(error: KafkaError) -> str:
    """Say what to do about an error of a record or a transaction."""
    return {
        KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic",
        # librdkafka reports this for a deleted topic too.
        KafkaError._UNKNOWN_PARTITION: "create the topic, or give it as many partitions as the frames' topic",
        KafkaError._UNKNOWN_TOPIC: "create the topic",
        # The topic or the broker was removed from the cluster while the record was in flight.
        KafkaError._DESTROY: "create the topic if it is gone; otherwise start the worker again",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, with as many partitions as the frames' topic",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to Write to the topic",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user to IdempotentWrite on the cluster",
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow this user to Write with transactional ids that begin "
        "with kafka.group_id and a hyphen",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to Read the group kafka.group_id",
        KafkaError._MSG_TIMED_OUT: f"the broker did not answer within delivery.timeout.ms; {ARE_BROKERS_UP}",
    }.get(error.code(), _SEE_CHECK)


def on_reading(error: KafkaError, topic: str, group: str | None = None) -> str:
    """Say what to do about an error of a consumer.

    Args:
        error: what the broker or the client said.
        topic: the topic that is read.
        group: the consumer's group; None if it is in none.
    """
    unknown = f"create topic {topic!r}, or correct its name"
    start_again = "check that every broker is up, and start the worker again"
    instance = f"give each member of group {group!r} a group.instance.id of its own"
    assignor = "set group.remote.assignor in kafka.consumer to one that the brokers have, such as uniform"
    return {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"allow this user to Read topic {topic!r}",
        KafkaError.GROUP_AUTHORIZATION_FAILED: f"allow this user to Read group {group!r}",
        KafkaError.UNKNOWN_TOPIC_OR_PART: unknown,
        KafkaError._UNKNOWN_TOPIC: unknown,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL: _other_members(group),
        KafkaError.GROUP_ID_NOT_FOUND: _other_members(group),
        KafkaError.GROUP_MAX_SIZE_REACHED: f"raise group.max.size of the brokers, or start fewer members of {group!r}",
        KafkaError.INVALID_SESSION_TIMEOUT: "set session.timeout.ms in kafka.consumer to what the brokers allow: "
        "group.min.session.timeout.ms to group.max.session.timeout.ms",
        KafkaError.FENCED_INSTANCE_ID: instance,
        KafkaError.UNRELEASED_INSTANCE_ID: instance,
        KafkaError.UNSUPPORTED_ASSIGNOR: assignor,
        # A fatal error has one code, and its text the true cause.
        KafkaError._FATAL: assignor
        if "assignor" in error.str()
        else instance
        if "instance" in error.str()
        else start_again,
        KafkaError.UNSUPPORTED_VERSION: "set kafka.group_protocol to classic, which older brokers have too",
        KafkaError.COORDINATOR_NOT_AVAILABLE: start_again,
        KafkaError.NOT_COORDINATOR: start_again,
        KafkaError._TIMED_OUT: start_again,
        KafkaError.LEADER_NOT_AVAILABLE: f"start the brokers that have the replicas of topic {topic!r}",
    }.get(error.code(), f"check topic {topic!r} and this user's rights with vision-worker check")


def _other_members(group: str | None) -> str:
    return (
        f"group {group!r} has members that assign partitions in another way, such as another program or another "
        "version of this worker: stop them, or set kafka.group_id to a group that only these workers use"
    )
