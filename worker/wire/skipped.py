"""Which frames were left out, and why (schemas/skipped.v1.json)."""

import msgspec

from worker.domain.records import OutboundRecord
from worker.domain.samples import Skipped
from worker.domain.times import EventMillis
from worker.wire.frame import CONTENT_TYPE
from worker.wire.prediction import frame_field
from worker.wire.prediction_fields import FrameField

_JSON = msgspec.json.Encoder()


class SkippedMessage(msgspec.Struct, kw_only=True):
    """A frame that got no prediction on purpose."""

    version: int = 1
    frame: FrameField
    captured_at_ms: int
    arrived_at_ms: int
    published_at_ms: int
    reason: str


def render_skipped(topic: str, skipped: Skipped, *, published_at: EventMillis) -> OutboundRecord:
    """Write which frame was skipped, to the same partition number as its frame's."""
    frame = skipped.frame
    message = SkippedMessage(
        frame=frame_field(frame),
        captured_at_ms=frame.captured_at,
        arrived_at_ms=frame.arrived_at,
        published_at_ms=published_at,
        reason=skipped.reason,
    )
    number, key = frame.position.partition.partition, frame.camera.encode()
    return OutboundRecord(topic, number, key, _JSON.encode(message), ((CONTENT_TYPE, b"application/json"),))


def decode_skipped(value: bytes) -> SkippedMessage:
    """Read which frame was skipped, as a consumer does.

    Raises:
        msgspec.MsgspecError: it is not such a message.
    """
    return msgspec.json.decode(value, type=SkippedMessage)
