"""What goes in: pictures as a program has them, and how each becomes the record that a producer would send."""

import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker import wire
from worker.api.results import Refused
from worker.domain.boxes import TrueBox, read_boxes
from worker.domain.errors import Reason
from worker.domain.frames import CapturedFrame, RawLayout
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.wire.prediction_fields import FrameField

SOURCE: Final = TopicPartition("python", 0)
"""Where pictures are said to lie; the first has offset 0."""
RATE: Final = 25.0
"""Pictures a second, where no capture time is given."""
UNREADABLE: Final = "unreadable"

Data = bytes | bytearray | memoryview | str | Path | NDArray[Any] | Image.Image
"""A picture, as `Picture` says."""

_PILLOW_FORMATS: Final = {"RGB": "rgb24", "RGBA": "rgba", "L": "gray8"}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture with what is known of it.

    Attributes:
        data: encoded bytes (JPEG, PNG, WebP), the path of such a file, or pixels: an RGB array (height, width, 3) of
            uint8, a grey array (height, width) of uint8 or uint16, or a picture of Pillow in mode RGB, RGBA or L.
        label: its class, as a name or an index; the prediction then says whether it is right.
        boxes: its true boxes, for a detector: of each its class and (left, top, right, bottom) in pixels; None if they
            are not known.
        camera: who took it. A model of clips shows pictures of one camera together.
        captured_at: when, in milliseconds; None: picture n of the iterable was taken n / 25 seconds after the first.
        id: its name in the result; None: the file's path, else the number in the iterable.
    """

    data: Data
    label: str | int | None = None
    boxes: Sequence[tuple[str, Sequence[float]]] | None = None
    camera: str = "python"
    captured_at: int | None = None
    id: str | None = None


Item = Data | Picture


class _Encoded(NamedTuple):
    """A picture as bytes; raw pixels have a layout."""

    data: bytes
    raw: RawLayout | None = None


class _Unusable(Exception):
    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def record_of(number: int, item: Item) -> Record | Refused:
    """Return the record that a producer would send of a picture, or why there is none.

    Args:
        number: of the picture, from 0.
        item: the picture.
    """
    picture = item if isinstance(item, Picture) else Picture(item)
    path = str(picture.data) if isinstance(picture.data, str | Path) else None
    name = wire.as_identifier(str(picture.id or path or number))
    camera = wire.as_identifier(str(picture.camera))
    try:
        encoded, boxes = _encode(picture.data), _boxes(picture)
        at = round(number * 1000 / RATE) if picture.captured_at is None else _milliseconds(picture.captured_at)
    except _Unusable as error:
        where = FrameField(camera=camera, id=name, topic=SOURCE.topic, partition=SOURCE.partition, offset=number)
        return Refused(where, error.reason, str(error))
    frame = CapturedFrame(
        camera=camera,
        data=encoded.data,
        captured_at=EventMillis(at),
        frame_id=name,
        label=None if picture.label is None else str(picture.label).encode(errors="replace").decode(),
        boxes=boxes,
    )
    sent = wire.render_frame(SOURCE.topic, frame)
    headers = sent.headers + (wire.layout_headers(encoded.raw) if encoded.raw else ())
    return Record(Position(SOURCE, number), sent.key, sent.value, headers, EventMillis(0))


def _milliseconds(at: object) -> int:
    try:
        return operator.index(at)  # type: ignore[arg-type]
    except TypeError:
        raise _Unusable(
            Reason.BAD_HEADER.value, f"captured_at is {at!r}: give whole milliseconds, such as int(time.time() * 1000)"
        ) from None


def _boxes(picture: Picture) -> tuple[TrueBox, ...] | None:
    if picture.boxes is None:
        return None
    try:
        found = [{"label": str(label), "box": [float(side) for side in box]} for label, box in picture.boxes]
        return read_boxes(json.dumps(found))
    except (TypeError, ValueError) as error:
        text = f"boxes cannot be read ({error}): give (label, (left, top, right, bottom)) for each object"
        raise _Unusable(Reason.BAD_HEADER.value, text) from None


def _encode(data: object) -> _Encoded:
    """Return a picture's bytes.

    Raises:
        _Unusable: this is no picture.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        if not data:
            raise _Unusable(Reason.EMPTY.value, "there are no bytes: give the whole picture")
        return _Encoded(bytes(data))
    if isinstance(data, str | Path):
        return _Encoded(_read_file(Path(data)))
    if isinstance(data, np.ndarray):
        return _encode_array(data)
    if isinstance(data, Image.Image):
        return _encode_pillow(data)
    raise _Unusable(
        Reason.NOT_A_PICTURE.value,
        f"{_a(data)} is not a picture: give encoded bytes, the path of a file, a numpy array of RGB, or a picture of "
        "Pillow; worker.Picture(data, label=...) adds what is known of it",
    )


def _read_file(file: Path) -> bytes:
    if file.is_dir():
        raise _Unusable(UNREADABLE, f"{file} is a folder: give its files, such as with worker.read(folder)")
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _Unusable(UNREADABLE, f"{file} cannot be read ({why}): give the path of a picture") from error


def _encode_array(pixels: NDArray[Any]) -> _Encoded:
    if pixels.size == 0:
        raise _Unusable(Reason.EMPTY.value, f"an array of shape {pixels.shape} has no pixels: give (height, width, 3)")
    match pixels.dtype, pixels.shape:
        case np.dtype(type=np.uint8), (height, width, 3):
            return _Encoded(pixels.tobytes(), RawLayout("rgb24", width, height))
        case np.dtype(type=np.uint8), (height, width):
            return _Encoded(pixels.tobytes(), RawLayout("gray8", width, height))
        case np.dtype(type=np.uint16), (height, width):
            return _Encoded(pixels.astype("<u2").tobytes(), RawLayout("gray16le", width, height))
    raise _Unusable(Reason.UNSUPPORTED.value, f"{_described(pixels)}: {_advice(pixels)}")


def _described(pixels: NDArray[Any]) -> str:
    return f"an array of {pixels.dtype} and shape {pixels.shape} is not taken"


def _advice(pixels: NDArray[Any]) -> str:
    """Say how an array of another form becomes one that is taken."""
    if pixels.ndim == 3 and pixels.shape[0] in {1, 3} and pixels.shape[2] != 3:
        return "put the channels last, with array.transpose(1, 2, 0)"
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return "give three channels in the order RGB; of RGBA these are array[..., :3]"
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        return "give a grey picture without the last axis, as array[..., 0]"
    if pixels.dtype != np.uint8 and pixels.ndim in {2, 3}:
        return "give uint8 from 0 to 255; values from 0 to 1 become that with (array * 255).round().astype('uint8')"
    return "give one picture as (height, width, 3) of uint8, in the order RGB"


def _encode_pillow(picture: Image.Image) -> _Encoded:
    pixel_format = _PILLOW_FORMATS.get(picture.mode)
    if pixel_format is None:
        raise _Unusable(
            Reason.UNSUPPORTED.value,
            f"a picture of Pillow in mode {picture.mode!r} is not taken: convert it, as with picture.convert('RGB')",
        )
    try:
        return _Encoded(picture.tobytes(), RawLayout(pixel_format, picture.width, picture.height))
    except (OSError, SyntaxError) as error:  # Pillow decodes a file only now
        raise _Unusable(
            Reason.NOT_A_PICTURE.value, f"Pillow cannot decode it ({error}): send the picture anew"
        ) from error


def _a(data: object) -> str:
    """Name what a value is."""
    name = type(data).__name__
    return "None" if data is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
