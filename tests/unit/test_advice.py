"""Every error that a broker may give has a text that ends in what to do."""

import pytest
from confluent_kafka import KafkaError

from worker.adapters.kafka.advice import on_reading, on_writing


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "allow this user to Read topic 'frames'"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "allow this user to Read group 'workers'"),
        (KafkaError.INCONSISTENT_GROUP_PROTOCOL, "group 'workers' has members"),
        (KafkaError.GROUP_MAX_SIZE_REACHED, "start fewer members of 'workers'"),
        (KafkaError.FENCED_INSTANCE_ID, "give each member of group 'workers' a group.instance.id of its own"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "create topic 'frames'"),
        (KafkaError.UNKNOWN, "check topic 'frames' and this user's rights with vision-worker check"),
    ],
)
def test_an_error_of_reading_names_what_is_concerned(code: int, named: str) -> None:
    assert named in on_reading(KafkaError(code), "frames", "workers")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("The assignor or its version range is not supported", "set group.remote.assignor"),
        ("Static consumer fenced by other consumer with same group.instance.id", "give each member of group 'workers'"),
        ("something else", "start the worker again"),
    ],
)
def test_a_fatal_error_is_told_by_its_text(reason: str, advice: str) -> None:
    assert advice in on_reading(KafkaError(KafkaError._FATAL, reason), "frames", "workers")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "allow this user to Write to the topic"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "begin with kafka.group_id and a hyphen"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "IdempotentWrite"),
        (KafkaError.UNKNOWN, "find out more with vision-worker check"),
    ],
)
def test_an_error_of_writing_says_what_to_do(code: int, advice: str) -> None:
    assert advice in on_writing(KafkaError(code))
