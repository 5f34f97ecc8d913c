"""Write pictures as a video file, with OpenCV."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import SettingsError, WorkerError
from worker.media.opencv_path import opencv_path
from worker.media.video import opened_video

Pixels = NDArray[np.uint8]

CODECS: Final = ("vp09", "avc1", "mp4v")
"""What an MP4 may hold, by preference. Browsers play VP9 and H.264. OpenCV from the package index can write VP9, and no
H.264, for its licence's sake. MPEG-4 Part 2 can be written everywhere, but needs a player of its own, such as VLC."""


@dataclass(frozen=True, slots=True)
class Written:
    """A video that was written.

    Attributes:
        codec: one of `CODECS`.
        size: (width, height), each even.
    """

    frames: int
    codec: str
    size: tuple[int, int]


def write_video(file: Path, pictures: Iterable[Pixels], *, rate: float) -> Written:
    """Write pictures as an MP4 file, while they are made: none is kept.

    The file appears once it is complete; until then, one of the same name stays. Codecs halve the resolution of colour,
    so they need even sides: an odd side becomes one pixel longer, with its last pixels repeated.

    Args:
        file: the path; its folder is created.
        pictures: RGB, (height, width, 3), uint8, all of one size.
        rate: frames per second, above 0.

    Raises:
        SettingsError: there are no pictures, the rate is none, or no file can be written there.
        ValueError: a picture has another size than the first.
        WorkerError: this OpenCV can write no video, or the file did not take all frames.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise SettingsError([f"a video of {rate} frames a second cannot be written: give a rate above 0"])
    if file.is_dir():
        raise SettingsError([f"{file} is a folder: name a file in it"])
    remaining = iter(pictures)
    first = next(remaining, None)
    if first is None:
        raise SettingsError([f"{file} is not written: there are no pictures"])
    with _folder_next_to(file) as scratch:
        unfinished = scratch / file.name
        written = _write(unfinished, first, remaining, rate)
        unfinished.replace(file)
    return written


def frame_rate(file: Path) -> float:
    """Return a video's frames per second.

    Raises:
        SourceLost: it cannot be opened.
        SettingsError: it states no rate.
    """
    with opened_video(file) as video:
        rate = video.get(cv2.CAP_PROP_FPS)
    if not (math.isfinite(rate) and rate > 0):
        raise SettingsError([f"{file} states no frame rate: give one"])
    return rate


@contextmanager
def _folder_next_to(file: Path) -> Iterator[Path]:
    """Create a temporary folder on the same file system, so that a rename from there to `file` is atomic."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=file.parent, prefix=".unfinished-")
    except OSError as error:
        raise SettingsError([f"{file} cannot be written: {error.strerror}"]) from error
    with scratch as folder:
        yield Path(folder)


def _write(file: Path, first: Pixels, remaining: Iterable[Pixels], rate: float) -> Written:
    size, frames = (first.shape[1] + first.shape[1] % 2, first.shape[0] + first.shape[0] % 2), 0
    writer, codec = _open_writer(file, rate, size)
    try:
        for frames, picture in enumerate(chain((first,), remaining), start=1):
            if picture.shape != first.shape:
                raise ValueError(f"picture {frames} is {picture.shape}, but the first one is {first.shape}")
            writer.write(_even(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)))
    finally:
        writer.release()
    # OpenCV does not tell when a frame could not be written.
    with opened_video(file) as video:
        kept = round(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if kept != frames:
        raise WorkerError(f"only {kept} of {frames} frames could be written: is the disk full?")
    return Written(frames, codec, size)


def _open_writer(file: Path, rate: float, size: tuple[int, int]) -> tuple[cv2.VideoWriter, str]:
    for codec in CODECS:
        writer = cv2.VideoWriter(opencv_path(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size)
        if writer.isOpened():
            return writer, codec
    width, height = size
    raise WorkerError(
        f"this OpenCV ({cv2.__version__}) cannot write an MP4 of {width}x{height} with any of {', '.join(CODECS)}: "
        f"install opencv-python-headless, or write a folder of pictures"
    )


def _even(pixels: NDArray[np.uint8] | cv2.typing.MatLike) -> cv2.typing.MatLike:
    height, width = pixels.shape[:2]
    if height % 2 == width % 2 == 0:
        return pixels
    return cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
