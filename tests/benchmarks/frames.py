"""The frames to send: real photographs in motion, as a camera takes them, with labels and capture times."""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.domain.times import EventMillis
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene

Size = tuple[int, int]
"""(width, height) in pixels."""

SIZES: Final[tuple[Size, ...]] = ((320, 240), (640, 480), (1280, 720))
USUAL: Final[Size] = (640, 480)
TINY: Final[Size] = (224, 168)

CAMERAS: Final = 8
PARTITIONS: Final = 4
CAMERA_RATE: Final = 10.0
"""Frames per second of each camera, by capture time; this determines how a backlog fills its windows."""

_QUALITY: Final = (85.0, 90.0)  # range of JPEG qualities, similar to cameras' defaults
_ROUND: Final = 30  # number of frames after which a camera repeats


def name_of(size: Size) -> str:
    """Format a size, such as 640x480."""
    return f"{size[0]}x{size[1]}"


@cache
def pictures(size: Size) -> Sequence[Sequence[bytes]]:
    """Render each camera's pictures: JPEGs, by camera."""
    return [list(_scene(camera, size).frames()) for camera in range(CAMERAS)]


def write_pictures(size: Size, folder: Path) -> Path:
    """Write the pictures as files, in sending order; return their folder."""
    target = folder / name_of(size)
    target.mkdir(parents=True, exist_ok=True)
    for number in range(CAMERAS * _ROUND):
        (target / f"{number:04}.jpg").write_bytes(_picture(number, size))
    return target


def record(topic: str, number: int, size: Size, captured_at: float) -> OutboundRecord:
    """Return the n-th frame. Cameras take turns, each uses one partition, and all partitions get the same number.

    Args:
        topic: the topic to send to.
        number: number of the frame, from 0.
        size: size of the picture.
        captured_at: seconds since the epoch.
    """
    camera = number % CAMERAS
    frame = CapturedFrame(
        f"camera-{camera}",
        _picture(number, size),
        EventMillis(round(captured_at * 1000)),
        "image/jpeg",
        label=PHOTOGRAPHS[camera % len(PHOTOGRAPHS)].label,
    )
    sent = wire.render_frame(topic, frame)
    return OutboundRecord(sent.topic, camera % PARTITIONS, sent.key, sent.value, sent.headers)


def backlog(topic: str, size: Size, count: int) -> Iterator[OutboundRecord]:
    """Yield a backlog of frames: captured at the cameras' rate, the last one now."""
    began = time.time() - count / (CAMERAS * CAMERA_RATE)
    return (record(topic, number, size, began + number / (CAMERAS * CAMERA_RATE)) for number in range(count))


def _picture(number: int, size: Size) -> bytes:
    return pictures(size)[number % CAMERAS][number // CAMERAS % _ROUND]


def _scene(camera: int, size: Size) -> Scene:
    photograph = PHOTOGRAPHS[camera % len(PHOTOGRAPHS)]
    return Scene(load_photograph(photograph), photograph.seed + 100 * camera, size, length=_ROUND, quality=_QUALITY)
