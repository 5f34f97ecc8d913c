"""Frames in: the envelope a producer writes (schemas/frame.v1.json)."""

import re
from typing import Final

from worker.domain.boxes import read_boxes, write_boxes
from worker.domain.errors import ClockAhead, EnvelopeInvalid
from worker.domain.frames import CapturedFrame, EncodedFrame, Frame
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import EventMillis, Monotonic
from worker.wire.capture_time import LATEST_SECONDS, MAX_CLOCK_AHEAD, captured_at, too_far_ahead, wrong_unit
from worker.wire.header_values import MAX_ID_LENGTH, HeaderReader, identifier, label_text, present, readable, shown
from worker.wire.raw_layout import PIXEL_FORMAT, read_layout

CAMERA_ID: Final = "camera-id"
FRAME_ID: Final = "frame-id"
CAPTURED_AT: Final = "captured-at"
CONTENT_TYPE: Final = "content-type"
LABEL: Final = "label"
BOXES: Final = "boxes"
TRACEPARENT: Final = "traceparent"

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def parse_frame(record: Record, *, arrived_at: EventMillis, arrived: Monotonic) -> EncodedFrame:
    """Read the envelope of a frame. The picture itself is not looked at.

    Args:
        record: the frame as it was read.
        arrived_at: the worker's clock, with which the capture time is compared.
        arrived: processing time at which the worker polled it.

    Raises:
        EnvelopeInvalid: one or more headers cannot be read, or something else of the record; the text names them all.
        ClockAhead: the capture time is more than an hour ahead of the worker's clock, and nothing else is wrong.
    """
    headers = present(record.headers)
    reader = HeaderReader(headers)
    camera, frame_id = _camera(reader, record), reader.take(FRAME_ID, identifier)
    label, boxes = reader.take(LABEL, label_text), reader.take(BOXES, read_boxes)
    raw = read_layout(reader) if PIXEL_FORMAT in headers else None
    at = reader.take(CAPTURED_AT, captured_at)
    if record.fault is not None:
        reader.faults.append(record.fault)
    if at is None and CAPTURED_AT not in headers:
        at = record.timestamp
    ahead = None
    if at is not None and not LATEST_SECONDS < at <= arrived_at + MAX_CLOCK_AHEAD:
        ahead = _ahead(reader, at, record, arrived_at)
    if reader.faults:
        raise EnvelopeInvalid("; ".join([*reader.faults, *([ahead] if ahead else [])]))
    if ahead is not None:
        raise ClockAhead(ahead)

    content_type, trace = headers.get(CONTENT_TYPE), headers.get(TRACEPARENT)
    frame = Frame(
        position=record.position,
        camera=camera or _unnamed(record),
        frame_id=frame_id or _position_id(record),
        captured_at=EventMillis(at or 0),
        arrived_at=arrived_at,
        arrived=arrived,
        label=label,
        traceparent=trace.decode() if trace and _TRACEPARENT.fullmatch(trace) else None,
        boxes=boxes,
    )
    # A content type that cannot be read is no fault: the first bytes tell what the picture is.
    return EncodedFrame(frame, record, content_type.decode(errors="replace") if content_type else None, raw)


def camera_of(record: Record) -> str:
    """Name the camera of a record as well as can be, for a frame whose envelope is invalid."""
    named = present(record.headers).get(CAMERA_ID) or record.key
    return named.decode(errors="replace")[:MAX_ID_LENGTH] if named else _unnamed(record)


def frame_id_of(record: Record | OutboundRecord) -> str | None:
    """Return the name that a frame's producer gave it, for a frame whose envelope may be invalid; None without one."""
    named = present(record.headers).get(FRAME_ID)
    return named.decode(errors="replace")[:MAX_ID_LENGTH] if named else None


def render_frame(topic: str, frame: CapturedFrame) -> OutboundRecord:
    """Write a frame as its producer would: keyed by camera, so that a camera's frames keep their order."""
    named = {
        CAMERA_ID: frame.camera,
        FRAME_ID: frame.frame_id,
        CAPTURED_AT: str(frame.captured_at),
        CONTENT_TYPE: frame.content_type,
        LABEL: frame.label,
    }
    headers = [(name, readable(text).encode()) for name, text in named.items() if text is not None]
    if frame.boxes is not None:
        headers.append((BOXES, write_boxes(frame.boxes).encode()))
    return OutboundRecord(topic, None, readable(frame.camera).encode(), frame.data, tuple(headers))


def _camera(reader: HeaderReader, record: Record) -> str | None:
    """Return the camera that the header or else the key names; None if neither does."""
    if CAMERA_ID in reader.headers:
        return reader.take(CAMERA_ID, identifier)
    if not record.key:
        return None
    try:
        return identifier(record.key)
    except ValueError as error:
        reader.faults.append(
            f"the key is {shown(record.key)}, and there is no header {CAMERA_ID!r}, so it must name the camera: "
            f"{error}, or send the header {CAMERA_ID!r}"
        )
        return None


def _ahead(reader: HeaderReader, at: int, record: Record, arrived_at: EventMillis) -> str | None:
    """Note a capture time in a wrong unit as a fault; return what is wrong with one that is too far ahead."""
    if at <= LATEST_SECONDS and record.timestamp == 0:
        return None  # frames of files have no timestamp, and those of a recording may count from its beginning
    named = CAPTURED_AT in reader.headers
    what = f"header {CAPTURED_AT!r} is {at}" if named else f"the record's timestamp is {at}"
    if (unit := wrong_unit(at)) is not None:
        reader.faults.append(f"{what}: {unit}")
        return None
    if (ahead := too_far_ahead(at, arrived_at)) is None:
        return None
    whose = "the camera's" if named else "the producer's"
    other = "" if named else f"; or send the header {CAPTURED_AT!r}"
    return f"{what}: {ahead}: set the clock that is wrong, {whose} or the worker's{other}"


def _unnamed(record: Record) -> str:
    return f"{record.position.partition.topic}-{record.position.partition.partition}"


def _position_id(record: Record) -> str:
    return f"{_unnamed(record)}-{record.position.offset}"
