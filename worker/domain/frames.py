"""A frame on its way in: encoded as it arrived, and decoded to RGB."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.boxes import TrueBox
from worker.domain.pictures import Flawed
from worker.domain.records import Position, Record
from worker.domain.times import EventMillis, Monotonic

PIXEL_FORMATS: Final = (
    *("rgb24", "bgr24", "rgba", "bgra", "gray8", "gray16le"),
    *("nv12", "nv21", "i420", "yv12", "yuyv422", "uyvy422", "yuv422p", "yuv444p"),
)
"""FFmpeg's names; `i420` and `yv12`, which have none there, are GStreamer's."""
COLOR_RANGES: Final = ("limited", "full")
COLOR_MATRICES: Final = ("bt601", "bt709", "bt2020")


@dataclass(frozen=True, slots=True)
class RawLayout:
    """How to read a raw, uncompressed picture, which carries no header of its own.

    Attributes:
        pixel_format: one of `PIXEL_FORMATS`.
        width: in pixels.
        height: in pixels.
        stride: bytes from one row of the first plane to the next; None if rows are not padded.
        slice_height: rows from the beginning of the first plane to that of the second, of all planes in proportion;
            None if planes are not padded.
        color_range: one of `COLOR_RANGES`; None for the usual one: limited for YUV, full for grey and RGB.
        color_matrix: one of `COLOR_MATRICES`, how YUV becomes RGB.
    """

    pixel_format: str
    width: int
    height: int
    stride: int | None = None
    slice_height: int | None = None
    color_range: str | None = None
    color_matrix: str = COLOR_MATRICES[0]


class GroundTruth(NamedTuple):
    """What is known of a frame without a model.

    Attributes:
        label: a class name or an index; None where nothing is known.
        boxes: empty where there is nothing in the picture, None where nothing is known.
    """

    label: str | None = None
    boxes: tuple[TrueBox, ...] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Which frame: its identity, without its picture. Results hold this, so that they keep no picture in memory.

    Attributes:
        position: where it lies in Kafka.
        camera: who took it.
        frame_id: the producer's name for it, or topic-partition-offset.
        captured_at: event time; the header, or the record's timestamp.
        arrived_at: wall-clock time at which the worker polled it.
        arrived: processing time at which the worker polled it.
        label: the ground truth as the producer wrote it: a class name or an index.
        traceparent: W3C trace context, handed on.
        boxes: the ground truth of a detector; empty where there is nothing, None where nothing is known.
    """

    position: Position
    camera: str
    frame_id: str
    captured_at: EventMillis
    arrived_at: EventMillis
    arrived: Monotonic
    label: str | None = None
    traceparent: str | None = None
    boxes: tuple[TrueBox, ...] | None = None


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame together with its picture, as its producer pushed it.

    Attributes:
        frame: which one.
        record: the record it came in, kept whole so that a dead letter can return it byte for byte.
        content_type: the producer's word for what the bytes are, if any.
        raw: layout of an uncompressed picture, if it is one.
    """

    frame: Frame
    record: Record
    content_type: str | None = None
    raw: RawLayout | None = None

    @property
    def data(self) -> bytes:
        """The encoded picture; empty for a tombstone."""
        return self.record.value or b""


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded picture.

    Attributes:
        pixels: RGB, (height, width, 3), uint8.
        sent: (width, height) of the picture as it was sent, turned if the pixels are; None if it was decoded at its
            full size.
        flawed: what the decoder found wrong with the picture, although the picture is taken.
    """

    pixels: NDArray[np.uint8]
    sent: tuple[int, int] | None = None
    flawed: Flawed | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"an image is (height, width, 3) uint8, not {self.pixels.shape} {self.pixels.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A picture on the producer's side, ready to be pushed.

    Attributes:
        captured_at: event time in milliseconds.
        frame_id: None lets the worker name it topic-partition-offset.
        boxes: the ground truth of a detector; empty where there is nothing, None where nothing is known.
    """

    camera: str
    data: bytes
    captured_at: EventMillis
    content_type: str | None = None
    frame_id: str | None = None
    label: str | None = None
    boxes: tuple[TrueBox, ...] | None = None
