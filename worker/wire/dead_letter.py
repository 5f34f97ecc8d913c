"""Dead letters out (schemas/dead-letter.v1.json)."""

from typing import Final

from worker.domain.records import Headers, OutboundRecord
from worker.domain.results import DeadLetter

ERRORS_PREFIX: Final = "__streams.errors."
"""Kafka Streams' own dead-letter headers (KIP-1034), so that its tools read our dead letters too."""
DEAD_LETTER_PREFIX: Final = "dead-letter-"


def render_dead_letter(topic: str, letter: DeadLetter, *, worker_version: str) -> OutboundRecord:
    """Write the original back out, byte for byte, with what was wrong in its headers.

    A dead letter that was put back and failed again carries a higher attempt; its former reasons are replaced.
    """
    record = letter.record
    partition, offset = record.position.partition, record.position.offset
    ours: dict[str, str] = {
        f"{ERRORS_PREFIX}exception": letter.error,
        f"{ERRORS_PREFIX}message": letter.text,
        f"{ERRORS_PREFIX}stacktrace": letter.stack,
        f"{ERRORS_PREFIX}topic": partition.topic,
        f"{ERRORS_PREFIX}partition": str(partition.partition),
        f"{ERRORS_PREFIX}offset": str(offset),
        f"{DEAD_LETTER_PREFIX}reason": letter.reason.value,
        f"{DEAD_LETTER_PREFIX}stage": letter.stage,
        f"{DEAD_LETTER_PREFIX}worker-version": worker_version,
        f"{DEAD_LETTER_PREFIX}attempt": str(_attempts(record.headers) + 1),
    }
    kept = tuple((name, value) for name, value in record.headers if name not in ours)
    return OutboundRecord(
        topic, None, record.key, record.value, kept + tuple((name, text.encode()) for name, text in ours.items())
    )


def _attempts(headers: Headers) -> int:
    before = dict(headers).get(f"{DEAD_LETTER_PREFIX}attempt") or b"0"
    return int(before) if before.isdigit() and len(before) < len("1000000") else 0
