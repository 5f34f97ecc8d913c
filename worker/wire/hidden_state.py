"""Hidden states out, and back in after a restart (schemas/hidden-state.v1.json)."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from worker.domain.errors import WorkerError
from worker.domain.records import OutboundRecord, Record
from worker.domain.sequences import DroppedState, HiddenState, Place
from worker.domain.times import EventMillis
from worker.wire.compacted import KeyedMessage, compacted_key, fields_of, key_of, newest_records
from worker.wire.frame import CONTENT_TYPE

_JSON = msgspec.json.Encoder()
_FLOAT32_BYTES: Final = 4


class HiddenStateMessage(KeyedMessage, kw_only=True):
    """The hidden state of a camera as only workers read it; `numbers` are base64 of little-endian float32."""

    steps: int
    captured_at_ms: int
    next_offset: int
    published_at_ms: int
    numbers: bytes


class StateUnreadable(WorkerError):
    """A record of the state topic is not one of ours."""


def render_state(topic: str, state: HiddenState, *, published_at: EventMillis) -> OutboundRecord:
    """Write a state, to the same partition number as its frames', under a key that compaction keeps the last of."""
    key, place = state.key, state.place
    message = HiddenStateMessage(
        **fields_of(key, state.topic_id),
        steps=place.steps,
        captured_at_ms=place.captured_at,
        next_offset=place.next_offset,
        published_at_ms=published_at,
        numbers=state.numbers,
    )
    headers = ((CONTENT_TYPE, b"application/json"),)
    return OutboundRecord(topic, key.partition.partition, compacted_key(key), _JSON.encode(message), headers)


def render_dropped_state(topic: str, dropped: DroppedState) -> OutboundRecord:
    """Write the tombstone of a state."""
    return OutboundRecord(topic, dropped.key.partition.partition, compacted_key(dropped.key), None, ())


def parse_state(record: Record) -> HiddenState | None:
    """Read a state back; None for a tombstone.

    Raises:
        StateUnreadable: the record is not a hidden state of a version we know.
    """
    if record.value is None:
        return None
    try:
        message = msgspec.json.decode(record.value, type=HiddenStateMessage)
    except msgspec.MsgspecError as error:
        raise _unreadable(record, error) from error
    if message.version != 1:
        raise StateUnreadable(
            f"{record.position} is a hidden state of version {message.version}; this worker reads version 1"
        )
    if len(message.numbers) % _FLOAT32_BYTES:
        raise StateUnreadable(_text(record, f"{len(message.numbers)} bytes are no float32 numbers"))
    return HiddenState(
        key=key_of(message),
        place=Place(message.steps, EventMillis(message.captured_at_ms), message.next_offset),
        numbers=message.numbers,
        topic_id=message.topic_id or None,
    )


def newest_states(records: Iterable[Record]) -> Iterator[HiddenState]:
    """Read back, of each key and topic id, the state that includes the most; of the others only how far they reach.

    A tombstone begins its key anew: write one to make a camera begin anew.

    Raises:
        StateUnreadable: a record is not a hidden state of a version we know.
    """
    for record in newest_records(records, _unreadable):
        if (state := parse_state(record)) is not None:
            yield state


def _unreadable(record: Record, error: msgspec.MsgspecError) -> StateUnreadable:
    return StateUnreadable(_text(record, str(error)))


def _text(record: Record, why: str) -> str:
    return (
        f"{record.position} is no hidden state ({why}): something else writes to this topic; give the worker a state "
        "topic of its own (topics.state)"
    )
