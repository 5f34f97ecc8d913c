"""Bytes to domain and back, a file a message kind: the only place that knows the field names in schemas/."""

from worker.wire.accuracy import (
    AccuracyMessage,
    AccuracyUnreadable,
    decode_accuracy,
    newest_tallies,
    parse_accuracy,
    render_accuracy,
    render_dropped_tally,
)
from worker.wire.annotated import render_annotated
from worker.wire.dead_letter import (
    DeadLetterReport,
    original_headers,
    original_record,
    parse_dead_letter,
    render_dead_letter,
    render_mark,
    render_replay,
)
from worker.wire.frame import camera_of, frame_id_of, parse_frame, render_frame
from worker.wire.header_values import as_identifier
from worker.wire.hidden_state import (
    HiddenStateMessage,
    StateUnreadable,
    newest_states,
    parse_state,
    render_dropped_state,
    render_state,
)
from worker.wire.prediction import decode_message, decode_prediction, render_prediction
from worker.wire.prediction_fields import (
    ClipMessage,
    CorrectField,
    DetectionMessage,
    EmbeddingMessage,
    FrameValueMessage,
    Message,
    MultiLabelMessage,
    NamedField,
    PredictionMessage,
    RecurrentMessage,
    SegmentationMessage,
)
from worker.wire.raw_layout import layout_headers
from worker.wire.skipped import SkippedMessage, decode_skipped, render_skipped

__all__ = [
    "AccuracyMessage",
    "AccuracyUnreadable",
    "ClipMessage",
    "CorrectField",
    "DeadLetterReport",
    "DetectionMessage",
    "EmbeddingMessage",
    "FrameValueMessage",
    "HiddenStateMessage",
    "Message",
    "MultiLabelMessage",
    "NamedField",
    "PredictionMessage",
    "RecurrentMessage",
    "SegmentationMessage",
    "SkippedMessage",
    "StateUnreadable",
    "as_identifier",
    "camera_of",
    "decode_accuracy",
    "decode_message",
    "decode_prediction",
    "decode_skipped",
    "frame_id_of",
    "layout_headers",
    "newest_states",
    "newest_tallies",
    "original_headers",
    "original_record",
    "parse_accuracy",
    "parse_dead_letter",
    "parse_frame",
    "parse_state",
    "render_accuracy",
    "render_annotated",
    "render_dead_letter",
    "render_dropped_state",
    "render_dropped_tally",
    "render_frame",
    "render_mark",
    "render_prediction",
    "render_replay",
    "render_skipped",
    "render_state",
]
