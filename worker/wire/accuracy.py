"""Accuracy out, and back in after a restart (schemas/accuracy.v1.json)."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, UnsetType

from worker.domain.errors import WorkerError
from worker.domain.records import OutboundRecord, Record
from worker.domain.results import HitCounts
from worker.domain.tallies import DroppedTally, NamedCounts, Tally
from worker.domain.times import EventMillis
from worker.wire.compacted import KeyedMessage, compacted_key, fields_of, key_of, newest_records
from worker.wire.frame import CONTENT_TYPE

_JSON = msgspec.json.Encoder()


class CountField(msgspec.Struct):
    """How many of the labelled frames are right."""

    top1: int
    top5: int


class RatioField(msgspec.Struct):
    """Which share of the labelled frames is right; null while nothing is labelled."""

    top1: float | None
    top5: float | None


class DetectionField(msgspec.Struct):
    """How many boxes of a detector are right; a share is null while there is nothing to count."""

    hits: int
    misses: int
    false_alarms: int
    precision: float | None
    recall: float | None


class NamedClassField(msgspec.Struct):
    """How often a class was named and listed by the label; a share is null while there is nothing to count."""

    name: str
    hits: int
    misses: int
    false_alarms: int
    precision: float | None
    recall: float | None


class MultiLabelField(msgspec.Struct):
    """How right a model is that names several classes.

    `exact` and `jaccard_sum` add up over the labelled frames, `exact_ratio` and `jaccard` are their means.
    """

    exact: int
    jaccard_sum: float
    exact_ratio: float
    jaccard: float
    classes: list[NamedClassField]


class AccuracyMessage(KeyedMessage, kw_only=True):
    """Running accuracy as consumers read it."""

    seen: int
    labelled: int
    correct: CountField
    accuracy: RatioField
    since_ms: int
    next_offset: int
    published_at_ms: int
    detection: DetectionField | UnsetType = UNSET
    multi_label: MultiLabelField | UnsetType = UNSET


def render_accuracy(topic: str, tally: Tally, *, published_at: EventMillis) -> OutboundRecord:
    """Write a tally, to the same partition number as its frames', under a key that compaction keeps the last of."""
    key = tally.key
    message = AccuracyMessage(
        **fields_of(key, tally.topic_id),
        seen=tally.seen,
        labelled=tally.labelled,
        correct=CountField(tally.correct_top1, tally.correct_top5),
        accuracy=RatioField(tally.top1, tally.top5),
        since_ms=tally.since,
        next_offset=tally.next_offset,
        published_at_ms=published_at,
        detection=UNSET if tally.boxes is None else _detection(tally.boxes),
        multi_label=UNSET if tally.named is None else _multi_label(tally.named, tally.labelled),
    )
    return OutboundRecord(
        topic,
        key.partition.partition,
        compacted_key(key),
        _JSON.encode(message),
        ((CONTENT_TYPE, b"application/json"),),
    )


def render_dropped_tally(topic: str, dropped: DroppedTally) -> OutboundRecord:
    """Write the tombstone of a tally."""
    return OutboundRecord(topic, dropped.key.partition.partition, compacted_key(dropped.key), None)


def _detection(boxes: HitCounts) -> DetectionField:
    return DetectionField(*boxes, precision=boxes.precision, recall=boxes.recall)


def _multi_label(named: NamedCounts, labelled: int) -> MultiLabelField:
    classes = [
        NamedClassField(name, *counts, precision=counts.precision, recall=counts.recall)
        for name, counts in sorted(named.classes.items())
    ]
    return MultiLabelField(named.exact, named.jaccard, named.exact / labelled, named.jaccard / labelled, classes)


def _named_counts(field: MultiLabelField) -> NamedCounts:
    classes = {each.name: HitCounts(each.hits, each.misses, each.false_alarms) for each in field.classes}
    return NamedCounts(field.exact, field.jaccard_sum, classes)


def decode_accuracy(value: bytes) -> AccuracyMessage:
    """Read running accuracy, as a consumer does.

    Raises:
        msgspec.MsgspecError: it is not an accuracy message.
    """
    return msgspec.json.decode(value, type=AccuracyMessage)


class AccuracyUnreadable(WorkerError):
    """A record of the accuracy topic is not one of ours."""


def parse_accuracy(record: Record) -> Tally | None:
    """Read a tally back; None for a tombstone.

    Raises:
        AccuracyUnreadable: the record is not an accuracy message of a version we know.
    """
    if record.value is None:
        return None
    try:
        message = decode_accuracy(record.value)
    except msgspec.MsgspecError as error:
        raise _unreadable(record, error) from error
    if message.version != 1:
        raise AccuracyUnreadable(
            f"{record.position} is an accuracy message of version {message.version}; this worker reads version 1"
        )
    boxes = message.detection or None
    return Tally(
        key=key_of(message),
        since=EventMillis(message.since_ms),
        seen=message.seen,
        labelled=message.labelled,
        correct_top1=message.correct.top1,
        correct_top5=message.correct.top5,
        next_offset=message.next_offset,
        boxes=HitCounts(boxes.hits, boxes.misses, boxes.false_alarms) if boxes else None,
        named=_named_counts(message.multi_label) if message.multi_label else None,
        topic_id=message.topic_id or None,
    )


def newest_tallies(records: Iterable[Record]) -> Iterator[Tally]:
    """Read back, of each key and topic id, the tally that includes the most; of the others only how far they reach.

    A tombstone begins its key anew: write one to count from zero.

    Raises:
        AccuracyUnreadable: a record is not an accuracy message of a version we know.
    """
    for record in newest_records(records, _unreadable):
        if (tally := parse_accuracy(record)) is not None:
            yield tally


def _unreadable(record: Record, error: msgspec.MsgspecError) -> AccuracyUnreadable:
    return AccuracyUnreadable(
        f"{record.position} is no accuracy message ({error}): something else writes to this topic; "
        "give the worker an accuracy topic of its own (topics.accuracy)"
    )
