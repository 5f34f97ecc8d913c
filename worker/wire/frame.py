"""Frames in: the envelope a producer writes (schemas/frame.v1.json)."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from worker.domain.boxes import read_boxes, write_boxes
from worker.domain.errors import EnvelopeInvalid
from worker.domain.frames import CapturedFrame, EncodedFrame, Frame, RawLayout
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import EventMillis, Monotonic

CAMERA_ID: Final = "camera-id"
FRAME_ID: Final = "frame-id"
CAPTURED_AT: Final = "captured-at"
CONTENT_TYPE: Final = "content-type"
LABEL: Final = "label"
BOXES: Final = "boxes"
TRACEPARENT: Final = "traceparent"
PIXEL_FORMAT: Final = "pixel-format"
WIDTH: Final = "width"
HEIGHT: Final = "height"

PIXEL_FORMATS: Final = ("rgb24", "bgr24", "gray8", "nv12", "i420")
MAX_ID_LENGTH: Final = 256
MAX_LABEL_LENGTH: Final = 4096
"""Characters of a label, which may list many classes."""
MAX_CLOCK_AHEAD: Final = 3_600_000
"""Milliseconds a camera's clock may be ahead of its record's timestamp: a frame from the future would close
every window of its partition."""

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
T = TypeVar("T")


def parse_frame(record: Record, *, arrived_at: EventMillis, arrived: Monotonic) -> EncodedFrame:
    """Read the envelope of a frame. The picture itself is not looked at.

    Raises:
        EnvelopeInvalid: one or more headers cannot be read; the text names them all.
    """
    headers, faults = dict(record.headers), list[str]()

    def take(name: str, read: Callable[[bytes], T]) -> T | None:
        raw = headers.get(name)
        if raw is None:
            return None
        try:
            return read(raw)
        except ValueError as error:
            faults.append(f"header {name!r} is {_shown(raw)}: {error}")
            return None

    camera = take(CAMERA_ID, _identifier)
    frame_id = take(FRAME_ID, _identifier)
    captured_at = take(CAPTURED_AT, _integer)
    content_type = take(CONTENT_TYPE, _identifier)
    label = take(LABEL, _label)
    boxes = take(BOXES, read_boxes)
    pixel_format = take(PIXEL_FORMAT, _pixel_format)
    width, height = take(WIDTH, _positive), take(HEIGHT, _positive)
    if captured_at is not None and captured_at > record.timestamp + MAX_CLOCK_AHEAD:
        faults.append(
            f"header {CAPTURED_AT!r} is {captured_at}, more than an hour ahead of the record's timestamp "
            f"{record.timestamp}: send milliseconds since the epoch, from a clock that is right"
        )
    if PIXEL_FORMAT in headers and not faults and not (pixel_format and width and height):
        faults.append(f"a raw picture needs the headers {PIXEL_FORMAT!r}, {WIDTH!r} and {HEIGHT!r}")
    if camera is None and CAMERA_ID not in headers:
        camera = _camera_by_key(record, faults)
    if faults:
        raise EnvelopeInvalid("; ".join(faults))

    trace = headers.get(TRACEPARENT)
    frame = Frame(
        position=record.position,
        camera=camera or _unnamed(record),
        frame_id=frame_id or _position_id(record),
        captured_at=record.timestamp if captured_at is None else EventMillis(captured_at),
        arrived_at=arrived_at,
        arrived=arrived,
        label=label,
        traceparent=trace.decode() if trace and _TRACEPARENT.fullmatch(trace) else None,
        boxes=boxes,
    )
    raw = RawLayout(pixel_format, width, height) if pixel_format and width and height else None
    return EncodedFrame(frame, record, content_type, raw)


def camera_of(record: Record) -> str:
    """Name the camera of a record as well as can be, for a frame whose envelope is invalid."""
    named = dict(record.headers).get(CAMERA_ID) or record.key
    return named.decode(errors="replace")[:MAX_ID_LENGTH] if named else _unnamed(record)


def render_frame(topic: str, frame: CapturedFrame) -> OutboundRecord:
    """Write a frame as its producer would: keyed by camera, so that a camera's frames keep their order."""
    named = {
        CAMERA_ID: frame.camera,
        FRAME_ID: frame.frame_id,
        CAPTURED_AT: str(frame.captured_at),
        CONTENT_TYPE: frame.content_type,
        LABEL: frame.label,
    }
    headers = [(name, text.encode()) for name, text in named.items() if text is not None]
    if frame.boxes is not None:
        headers.append((BOXES, write_boxes(frame.boxes).encode()))
    return OutboundRecord(topic, None, frame.camera.encode(), frame.data, tuple(headers))


def _shown(raw: bytes) -> str:
    return repr(raw.decode(errors="backslashreplace")[:80])


def _identifier(raw: bytes, longest: int = MAX_ID_LENGTH) -> str:
    text = raw.decode()
    if not text or len(text) > longest:
        raise ValueError(f"it must be 1 to {longest} characters")
    return text


_label = partial(_identifier, longest=MAX_LABEL_LENGTH)


def _integer(raw: bytes) -> int:
    if not raw.isdigit():
        raise ValueError("it must be a whole number, in decimal digits")
    if len(raw) > len(str(2**63)):
        raise ValueError("it is too large")
    return int(raw)


def _positive(raw: bytes) -> int:
    value = _integer(raw)
    if value == 0:
        raise ValueError("it must be at least 1")
    return value


def _pixel_format(raw: bytes) -> str:
    text = raw.decode()
    if text not in PIXEL_FORMATS:
        raise ValueError(f"it must be one of {', '.join(PIXEL_FORMATS)}")
    return text


def _camera_by_key(record: Record, faults: list[str]) -> str | None:
    if not record.key:
        return None
    try:
        return _identifier(record.key)
    except ValueError as error:
        faults.append(f"the key is {_shown(record.key)}, no camera id: {error}; or send the header {CAMERA_ID!r}")
        return None


def _unnamed(record: Record) -> str:
    return f"{record.position.partition.topic}-{record.position.partition.partition}"


def _position_id(record: Record) -> str:
    return f"{_unnamed(record)}-{record.position.offset}"
