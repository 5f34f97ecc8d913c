"""The smallest rights that each command needs on brokers with an authorizer: the only list of them."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from worker.settings import Delivery, Kafka, Topics
from worker.settings.topics import NEEDS, replay_marks


class Right(NamedTuple):
    """What a user must be allowed to do.

    Attributes:
        operation: in Kafka's words, such as `Read`.
        name: of the resource, or what its name begins with; empty for the cluster.
        prefixed: whether the name is only the beginning.
    """

    operation: str
    resource: Literal["topic", "group", "transactional-id", "cluster"]
    name: str
    prefixed: bool = False


class Subject(NamedTuple):
    """The settings that rights follow from."""

    kafka: Kafka
    topics: Topics
    delivery: Delivery


def _worker(of: Subject) -> Iterator[Right]:
    """Read and Write include Describe."""
    for role, name in of.topics.in_use().items():
        for operation in NEEDS[role].rights:
            yield Right(operation.capitalize(), "topic", name)
    yield Right("Read", "group", of.kafka.group_id)
    if of.delivery.guarantee == "exactly_once":
        yield Right("Write", "transactional-id", f"{of.kafka.group_id}-", prefixed=True)


def _check(of: Subject) -> Iterator[Right]:
    """Without these, a worker runs too, but does not see how topics are configured, and which protocols there are."""
    for name in of.topics.in_use().values():
        yield Right("DescribeConfigs", "topic", name)
    yield Right("DescribeConfigs", "cluster", "")


def _topics(of: Subject) -> Iterator[Right]:
    """Alter includes Describe, and AlterConfigs includes DescribeConfigs."""
    for name in (*of.topics.in_use().values(), replay_marks(of.topics.dead_letters).name):
        for operation in ("Create", "Alter", "AlterConfigs"):
            yield Right(operation, "topic", name)


def _produce(of: Subject) -> Iterator[Right]:
    yield Right("Write", "topic", of.topics.frames)


def _tail(of: Subject) -> Iterator[Right]:
    for role in ("predictions", "accuracy", "dead_letters", "skipped"):
        if name := of.topics.in_use().get(role):
            yield Right("Read", "topic", name)


def _export(of: Subject) -> Iterator[Right]:
    yield Right("Read", "topic", of.topics.frames)
    yield Right("Read", "topic", of.topics.predictions)


def _dead_letters(of: Subject) -> Iterator[Right]:
    yield Right("Read", "topic", of.topics.dead_letters)
    yield Right("Read", "topic", replay_marks(of.topics.dead_letters).name)


def _replay(of: Subject) -> Iterator[Right]:
    marks = replay_marks(of.topics.dead_letters).name
    yield from _dead_letters(of)
    yield Right("Create", "topic", marks)
    yield Right("Write", "topic", marks)
    yield Right("Write", "topic", of.topics.frames)
    yield Right("Write", "transactional-id", f"{marks}-by")


RIGHTS: Final[dict[str, Callable[[Subject], Iterator[Right]]]] = {
    "run": _worker,
    "check": _check,
    "topics": _topics,
    "produce": _produce,
    "tail": _tail,
    "export": _export,
    "deadletters": _dead_letters,
    "deadletters replay": _replay,
}
"""The rights by command."""
