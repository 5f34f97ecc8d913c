"""Bytes to domain and back, a file a message kind: the only place that knows the field names in schemas/."""

from worker.wire.accuracy import AccuracyUnreadable, parse_accuracy, render_accuracy
from worker.wire.dead_letter import render_dead_letter
from worker.wire.frame import camera_of, parse_frame, render_frame
from worker.wire.prediction import render_prediction

__all__ = [
    "AccuracyUnreadable",
    "camera_of",
    "parse_accuracy",
    "parse_frame",
    "render_accuracy",
    "render_dead_letter",
    "render_frame",
    "render_prediction",
]
