"""The fields of predictions, a message for each task: what consumers read."""

from typing import Literal

import msgspec


class ModelField(msgspec.Struct):
    """The model's identity, as every message writes it."""

    name: str
    version: str


class FrameField(msgspec.Struct, kw_only=True):
    """Which frame: who took it, and where it lies in Kafka."""

    camera: str
    id: str
    topic: str
    partition: int
    offset: int


class WindowField(msgspec.Struct, kw_only=True):
    """The window the frame was batched in, and what closed the batch."""

    start_ms: int
    end_ms: int
    closed_by: str
    late: bool


class ClassField(msgspec.Struct):
    """One class and its probability."""

    index: int
    name: str
    probability: float


class CorrectField(msgspec.Struct):
    """Whether the most likely class, or one of the five most likely, is the label."""

    top1: bool
    top5: bool


class EndField(msgspec.Struct, kw_only=True):
    """The first or the last frame of a clip."""

    id: str
    offset: int
    captured_at_ms: int


class ClipField(msgspec.Struct, kw_only=True):
    """Which clip the prediction is about; `frames` places were shown to the model, `used` of them different."""

    first: EndField
    last: EndField
    frames: int
    used: int


class Envelope(msgspec.Struct, kw_only=True):
    """What every prediction says, whatever its task."""

    version: int = 1
    frame: FrameField
    captured_at_ms: int
    arrived_at_ms: int
    published_at_ms: int
    window: WindowField
    model: ModelField


class PredictionMessage(Envelope, kw_only=True):
    """A prediction of the task `classify` as consumers read it."""

    classes: list[ClassField]
    label: str | None
    correct: CorrectField | None
    seconds: dict[str, float]


class ClipMessage(PredictionMessage, kw_only=True):
    """A prediction of the task `clip`; its `frame` is the clip's last."""

    task: Literal["clip"] = "clip"
    clip: ClipField


class RecurrentMessage(PredictionMessage, kw_only=True):
    """A prediction of the task `recurrent`: the classes after `steps` frames of the camera, this one included."""

    task: Literal["recurrent"] = "recurrent"
    steps: int


class NamedField(msgspec.Struct):
    """The named classes compared with those of the label: whether they are the same, and which are not."""

    exact: bool
    jaccard: float
    hits: list[str]
    misses: list[str]
    false_alarms: list[str]


class MultiLabelMessage(Envelope, kw_only=True):
    """A prediction of the task `multi_label`: the classes whose probability reaches their threshold."""

    task: Literal["multi_label"] = "multi_label"
    named: list[str]
    classes: list[ClassField]
    label: str | None
    correct: NamedField | None
    seconds: dict[str, float]


class FrameValueMessage(Envelope, kw_only=True):
    """A prediction of the task `frame_values`: the value of one frame, and the event that begins with it, if any."""

    task: Literal["frame_values"] = "frame_values"
    value: float
    threshold: float
    event: str | None
    label: str | None
    correct: CorrectField | None
    seconds: dict[str, float]


Sides = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the picture as it was sent."""


class BoxField(msgspec.Struct):
    """An object that was found."""

    index: int
    name: str
    score: float
    box: Sides


class TrueBoxField(msgspec.Struct):
    """An object that is there, as the producer wrote it."""

    label: str
    box: Sides


class BoxCountField(msgspec.Struct):
    """The boxes compared with the true ones."""

    hits: int
    misses: int
    false_alarms: int


class DetectionMessage(Envelope, kw_only=True):
    """A prediction of the task `detect`: what is in the picture, and where."""

    task: Literal["detect"] = "detect"
    boxes: list[BoxField]
    counts: dict[str, int]
    truth: list[TrueBoxField] | None
    correct: BoxCountField | None
    seconds: dict[str, float]


class ShareField(msgspec.Struct):
    """A class, and the share of the picture that it covers."""

    index: int
    name: str
    share: float


class MaskField(msgspec.Struct):
    """The class of each place of a part of the picture; `png` is base64 in JSON."""

    png: bytes
    covers: Sides


class SegmentationMessage(Envelope, kw_only=True):
    """A prediction of the task `segment`: which class covers how much of the picture."""

    task: Literal["segment"] = "segment"
    shares: list[ShareField]
    mask: MaskField | None
    seconds: dict[str, float]


class EmbeddingMessage(Envelope, kw_only=True):
    """A prediction of the task `embed`: the vector of a picture."""

    task: Literal["embed"] = "embed"
    vector: list[float]
    seconds: dict[str, float]


Message = (
    PredictionMessage
    | MultiLabelMessage
    | ClipMessage
    | RecurrentMessage
    | FrameValueMessage
    | DetectionMessage
    | SegmentationMessage
    | EmbeddingMessage
)
