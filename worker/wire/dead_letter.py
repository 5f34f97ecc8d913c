"""Dead letters out, and what was wrong with them back in (schemas/dead-letter.v1.json)."""

from typing import Final

import msgspec

from worker.domain.records import Headers, OutboundRecord, Record
from worker.domain.results import DeadLetter

# The first six are Kafka Streams' own (KIP-1034), so that its tools read our dead letters too.
_NAMES: Final = {
    "error": "__streams.errors.exception",
    "text": "__streams.errors.message",
    "stack": "__streams.errors.stacktrace",
    "topic": "__streams.errors.topic",
    "partition": "__streams.errors.partition",
    "offset": "__streams.errors.offset",
    "reason": "dead-letter-reason",
    "stage": "dead-letter-stage",
    "worker_version": "dead-letter-worker-version",
    "attempt": "dead-letter-attempt",
}
MAX_STACK: Final = 4096
"""Characters of a stack trace that are kept, the last ones: they name the cause."""


class DeadLetterReport(msgspec.Struct, kw_only=True):
    """What a dead letter says of its frame."""

    error: str
    text: str
    stack: str
    topic: str
    partition: int
    offset: int
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
        reason=letter.reason.value,
        stage=letter.stage,
        worker_version=worker_version,
        attempt=_attempts(record.headers) + 1,
    )
    kept = tuple((name, value) for name, value in record.headers if name not in _NAMES.values())
    ours = tuple((_NAMES[field], str(value).encode()) for field, value in msgspec.structs.asdict(report).items())
    return OutboundRecord(topic, None, record.key, record.value, kept + ours)


def parse_dead_letter(record: Record) -> DeadLetterReport:
    """Read back what was wrong.

    Raises:
        msgspec.ValidationError: the record is no dead letter of ours.
    """
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    found = {field: headers[name] for field, name in _NAMES.items() if name in headers}
    return msgspec.convert(found, DeadLetterReport, strict=False)


def original_headers(record: Record) -> Headers:
    """Return the headers that the frame came with."""
    return tuple((name, value) for name, value in record.headers if name not in _NAMES.values())


def _attempts(headers: Headers) -> int:
    before = dict(headers).get(_NAMES["attempt"]) or b"0"
    return int(before) if before.isdigit() and len(before) < len("1000000") else 0
