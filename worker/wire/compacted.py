"""What the messages of compacted topics share: whose they are, their keys, and how the newest of each key is found."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from worker.domain.errors import WorkerError
from worker.domain.records import Record, TopicPartition
from worker.domain.results import ModelIdentity
from worker.domain.tallies import TallyKey
from worker.wire.prediction_fields import ModelField


class KeyedMessage(msgspec.Struct, kw_only=True):
    """What every message of a compacted topic says first: whose counts, or whose state, it has."""

    version: int = 1
    camera: str
    topic: str
    topic_id: str | UnsetType = UNSET
    partition: int
    model: ModelField


class _Progress(msgspec.Struct):
    next_offset: int
    topic_id: str | None = None


def fields_of(key: TallyKey, topic_id: str | None) -> dict[str, Any]:
    """Return the fields of a `KeyedMessage` for a key; `key_of` reads them back."""
    topic, partition = key.partition
    model = ModelField(key.model.name, key.model.version)
    return {
        "camera": key.camera,
        "topic": topic,
        "topic_id": UNSET if topic_id is None else topic_id,
        "partition": partition,
        "model": model,
    }


def key_of(message: KeyedMessage) -> TallyKey:
    """Return whose counts, or whose state, a message has."""
    model = ModelIdentity(message.model.name, message.model.version)
    return TallyKey(TopicPartition(message.topic, message.partition), message.camera, model)


def compacted_key(key: TallyKey) -> bytes:
    """Return the key that compaction keeps the last record of."""
    # A topic's name and a model's hold no slash, so the key is unambiguous whatever a camera is called.
    return f"{key.partition.topic}/{key.model}/{key.camera}".encode()


def newest_records(
    records: Iterable[Record], unreadable: Callable[[Record, msgspec.MsgspecError], WorkerError]
) -> Iterator[Record]:
    """Return, of each key, the record that includes the most; of the others only how far they reach is read.

    A topic that was deleted and created again counts from 0 again, so the records of each topic id are compared among
    themselves, and one of each is returned. A tombstone begins its key anew.

    Args:
        records: of compacted topics whose messages have a `next_offset`.
        unreadable: makes the error for a record that has none.
    """
    progress = msgspec.json.Decoder(_Progress)
    newest: dict[tuple[int, bytes | None], dict[str | None, tuple[int, Record]]] = {}
    for record in records:
        key = record.position.partition.partition, record.key
        if record.value is None:
            newest.pop(key, None)
            continue
        try:
            reached = progress.decode(record.value)
        except msgspec.MsgspecError as error:
            raise unreadable(record, error) from error
        of_key = newest.setdefault(key, {})
        known = of_key.get(reached.topic_id)
        if known is None or reached.next_offset >= known[0]:
            of_key[reached.topic_id] = reached.next_offset, record
    for of_key in newest.values():
        for _, record in of_key.values():
            yield record
