"""A stretch of a topic as a folder of labelled pictures: to be labelled, to train on, to test with."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from worker import wire
from worker.domain.errors import EnvelopeInvalid, FrameRejected, SettingsError
from worker.domain.frames import CapturedFrame, EncodedFrame
from worker.domain.pictures import PictureRules
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.media.folder import Row, write_rows
from worker.media.images import decode_image

_NOT_NAMES = frozenset({"", ".", ".."})


class Guess(NamedTuple):
    """What a model said of a frame: the most likely class, and how likely."""

    name: str
    probability: float


@dataclass(slots=True)
class Written:
    """What became of the frames of a stretch.

    Attributes:
        frames: frames that were written.
        labelled: those of them with a label, or with boxes.
        predicted: those of them of which a model has said something.
        unlabelled: frames that were left out, because they have no label to name a folder.
        refused: of each record that is no frame, where it lies and why.
    """

    frames: int = 0
    labelled: int = 0
    predicted: int = 0
    unlabelled: int = 0
    refused: list[str] = field(default_factory=list)


def write_stretch(
    folder: Path,
    records: Iterable[Record],
    guesses: Mapping[Position, Guess],
    *,
    by_class: bool,
    rules: PictureRules,
    now: EventMillis,
) -> Written:
    """Write frames as pictures and `frames.csv`; each picture has its bytes as they were sent.

    A raw picture, which no file format says how to read, is written as PNG.

    Args:
        folder: is created; must be empty.
        records: of the topic of frames.
        guesses: what a model said of them.
        by_class: a sub-folder for each label, in torchvision's ImageFolder layout; frames without a label are left out.
        rules: which raw pictures are taken.
        now: by this machine's clock; no frame may be captured much later.

    Raises:
        SettingsError: the folder is not empty or cannot be written, or a label cannot be the name of a folder.
    """
    found = Written()

    def rows() -> Iterator[Row]:
        for record in records:
            try:
                encoded = wire.parse_frame(record, arrived_at=now, arrived=Monotonic(0.0))
                frame = _captured(encoded, rules)
                if not frame.data:
                    raise EnvelopeInvalid("the record has no picture")
            except FrameRejected as error:
                found.refused.append(f"{record.position}: {error}")
                continue
            if by_class and frame.label is None:
                found.unlabelled += 1
                continue
            guess = guesses.get(record.position)
            found.frames += 1
            found.labelled += frame.label is not None or frame.boxes is not None
            found.predicted += guess is not None
            yield Row(
                frame,
                below=_folder_of(frame.label or "", record.position) if by_class else "",
                position=str(record.position),
                predicted=guess.name if guess else None,
                probability=guess.probability if guess else None,
            )

    write_rows(folder, rows())
    return found


def guesses_of(records: Iterable[Record]) -> dict[Position, Guess]:
    """Return, by the position of its frame, the last prediction of classes among the records of a topic."""
    found = dict[Position, Guess]()
    for record in records:
        if record.value is None:
            continue
        message = wire.decode_message(record.value)
        if isinstance(message, wire.PredictionMessage):
            best = message.classes[0]
            frame = message.frame
            position = Position(TopicPartition(frame.topic, frame.partition), frame.offset)
            found[position] = Guess(best.name, best.probability)
    return found


def _captured(encoded: EncodedFrame, rules: PictureRules) -> CapturedFrame:
    frame, data, content_type = encoded.frame, encoded.data, encoded.content_type
    if encoded.raw is not None:
        pixels = decode_image(encoded, rules).pixels
        _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        data, content_type = np.asarray(png).tobytes(), "image/png"
    return CapturedFrame(
        camera=frame.camera,
        data=data,
        captured_at=EventMillis(frame.captured_at),
        content_type=content_type,
        frame_id=frame.frame_id,
        label=frame.label,
        boxes=frame.boxes,
    )


def _folder_of(label: str, position: Position) -> str:
    if label in _NOT_NAMES or "/" in label or "\0" in label:
        raise SettingsError([f"{position} has the label {label!r}, which cannot name a folder: use --layout csv"])
    return label
