"""Pictures with their predictions drawn on them out: a JPEG, and headers that say which frame it is."""

from worker.domain.records import OutboundRecord
from worker.domain.results import Prediction
from worker.wire.frame import CAMERA_ID, CAPTURED_AT, CONTENT_TYPE, FRAME_ID


def render_annotated(topic: str, prediction: Prediction, jpeg: bytes) -> OutboundRecord:
    """Write a picture, to the same partition number as its frame's. Its headers are those of a frame."""
    frame = prediction.frame
    camera = frame.camera.encode()
    headers = (
        (CONTENT_TYPE, b"image/jpeg"),
        (CAMERA_ID, camera),
        (FRAME_ID, frame.frame_id.encode()),
        (CAPTURED_AT, str(frame.captured_at).encode()),
    )
    return OutboundRecord(topic, frame.position.partition.partition, camera, jpeg, headers)
