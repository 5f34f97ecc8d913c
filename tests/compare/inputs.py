"""What both commits get: real photographs in motion as a recording of several cameras, with a few bad files."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene
from worker.media.folder import write_recording

FRAMES: Final = 60
"""Of each camera."""

_INTERVAL: Final = 100
_LATE_EVERY: Final = 30  # frames of a camera
_LATE: Final = 2000  # more than a window and its lateness
_BAD_AT: Final = (75, 150, 225)
_START: Final = 1_700_000_000_000
_GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def write_pictures(folder: Path) -> Path:
    """Write labelled 640x480 JPEGs of five cameras that take turns, and bad files between them, into a new folder.

    Two frames of each camera come late; the others are in the order of their capture times.

    Returns:
        The recording, to be given as `--labels`.

    Raises:
        FetchFailed: the photographs cannot be had.
    """
    return write_recording(folder, _frames())


def _frames() -> Iterable[CapturedFrame]:
    frames = list(_good_frames())
    for place, bad in zip(_BAD_AT, _bad_frames(frames[0]), strict=True):
        frames.insert(place, replace(bad, captured_at=frames[place].captured_at))
    return frames


def _good_frames() -> Iterator[CapturedFrame]:
    scenes = [Scene(load_photograph(each), each.seed, length=FRAMES).frames() for each in PHOTOGRAPHS]
    for number, jpegs in enumerate(zip(*scenes, strict=True)):
        at = _START + number * _INTERVAL - (_LATE if number % _LATE_EVERY == _LATE_EVERY - 1 else 0)
        for camera, (photograph, jpeg) in enumerate(zip(PHOTOGRAPHS, jpegs, strict=True)):
            yield CapturedFrame(
                photograph.name,
                jpeg,
                EventMillis(at + camera),
                "image/jpeg",
                frame_id=f"{photograph.name}-{number}",
                label=photograph.label,
            )


def _bad_frames(good: CapturedFrame) -> list[CapturedFrame]:
    return [
        replace(good, frame_id="truncated", data=good.data[: len(good.data) // 2]),
        replace(good, frame_id="no-picture", data=b"a text is no picture"),
        replace(good, frame_id="gif", data=_GIF, content_type=None),
    ]
