"""Dead letters out, what was wrong with them back in, and the way back (schemas/dead-letter.v1.json)."""

from typing import Final

import msgspec

from worker.domain.records import Headers, OutboundRecord, Position, Record, TopicPartition
from worker.domain.results import DeadLetter
from worker.domain.times import EventMillis
from worker.wire.frame import CAPTURED_AT
from worker.wire.header_values import present

# The first six are Kafka Streams' own (KIP-1034), so that its tools read our dead letters too.
_NAMES: Final = {
    "error": "__streams.errors.exception",
    "text": "__streams.errors.message",
    "stack": "__streams.errors.stacktrace",
    "topic": "__streams.errors.topic",
    "partition": "__streams.errors.partition",
    "offset": "__streams.errors.offset",
    "timestamp": "dead-letter-timestamp",
    "reason": "dead-letter-reason",
    "stage": "dead-letter-stage",
    "worker_version": "dead-letter-worker-version",
    "attempt": "dead-letter-attempt",
}
REPLAYED_FROM: Final = "dead-letter-replayed-from"
"""On a frame that was put back: TOPIC/PARTITION/OFFSET of the dead letter it was."""

_OURS: Final = frozenset({*_NAMES.values(), REPLAYED_FROM})
MAX_STACK: Final = 4096
"""Characters of a stack trace that are kept, the last ones: they name the cause."""


class DeadLetterReport(msgspec.Struct, kw_only=True):
    """What a dead letter says of its frame.

    Attributes:
        timestamp: the frame's own, which its capture time falls back to; the dead letter's says when it was refused.
    """

    error: str
    text: str
    stack: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    reason: str
    stage: str
    worker_version: str
    attempt: int


def render_dead_letter(topic: str, letter: DeadLetter, *, worker_version: str) -> OutboundRecord:
    """Write the original back out, byte for byte, with what was wrong in its headers.

    A dead letter that was put back and failed again carries a higher attempt; its former reasons are replaced.
    """
    record = letter.record
    partition = record.position.partition
    report = DeadLetterReport(
        error=letter.error,
        text=letter.text,
        stack=letter.stack[-MAX_STACK:],
        topic=partition.topic,
        partition=partition.partition,
        offset=record.position.offset,
        timestamp=record.timestamp,
        reason=letter.reason.value,
        stage=letter.stage,
        worker_version=worker_version,
        attempt=_attempts(record.headers) + 1,
    )
    kept = tuple((name, value) for name, value in record.headers if name not in _NAMES.values())
    ours = tuple((_NAMES[field], str(value).encode()) for field, value in msgspec.structs.asdict(report).items())
    return OutboundRecord(topic, None, record.key, record.value, kept + ours)


def parse_dead_letter(record: Record | OutboundRecord) -> DeadLetterReport:
    """Read back what was wrong, of a dead letter that was read or that is to be written.

    Raises:
        msgspec.ValidationError: the record is no dead letter of ours.
    """
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    found = {field: headers[name] for field, name in _NAMES.items() if name in headers}
    return msgspec.convert(found, DeadLetterReport, strict=False)


def original_headers(record: Record) -> Headers:
    """Return the headers that the frame came with."""
    return tuple((name, value) for name, value in record.headers if name not in _OURS)


def original_record(letter: Record) -> Record:
    """Return the frame as it was read: where it lay, when it was written, and what it came with.

    Raises:
        msgspec.ValidationError: the record is no dead letter of ours.
    """
    report = parse_dead_letter(letter)
    position = Position(TopicPartition(report.topic, report.partition), report.offset)
    return Record(position, letter.key, letter.value, original_headers(letter), EventMillis(report.timestamp))


def render_replay(letter: Record) -> OutboundRecord:
    """Write a dead letter's frame back to where it came from, value and key byte for byte.

    It returns to the very partition, since its camera may be called after it, and keeps its capture time: where no
    header says it, the timestamp it had then becomes one. The attempt goes with it, so that a second failure counts on.

    Raises:
        msgspec.ValidationError: the record is no dead letter of ours.
    """
    frame, attempt = original_record(letter), parse_dead_letter(letter).attempt
    headers = frame.headers
    if CAPTURED_AT not in present(headers):
        headers += ((CAPTURED_AT, b"%d" % frame.timestamp),)
    headers += ((_NAMES["attempt"], b"%d" % attempt), (REPLAYED_FROM, _place(letter.position)))
    return OutboundRecord(
        frame.position.partition.topic, frame.position.partition.partition, frame.key, frame.value, headers
    )


def render_mark(topic: str, letter: Record) -> OutboundRecord:
    """Write down that a dead letter was replayed, for the compacted topic of replayed dead letters.

    The key says where the dead letter lies. The value is its timestamp, so that a topic made anew, whose offsets begin
    again, is not taken for the one before.
    """
    return OutboundRecord(topic, None, _place(letter.position), b"%d" % letter.timestamp)


def _place(position: Position) -> bytes:
    return f"{position.partition.topic}/{position.partition.partition}/{position.offset}".encode()


def _attempts(headers: Headers) -> int:
    before = dict(headers).get(_NAMES["attempt"]) or b"0"
    return int(before) if before.isdigit() and len(before) < len("1000000") else 0
