"""Read a video file as frames, with OpenCV."""

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import cv2
from cv2.typing import MatLike

from worker.domain.errors import SettingsError, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.media.jpeg import JpegEncoder
from worker.media.opencv_path import opencv_path

_GOOD: Final = JpegEncoder()


class VideoFrame(NamedTuple):
    """A frame of a video that may still be skipped.

    Attributes:
        position: seconds from the first frame.
        pixels: returns the frame as BGR; to be called before the next frame is read. It raises SourceLost if the video
            is damaged there.
    """

    position: float
    pixels: Callable[[], MatLike]


def read_video(
    path: Path,
    *,
    camera: str,
    start: EventMillis,
    rate: float | None = None,
    encode: JpegEncoder = _GOOD,
    label: str | None = None,
) -> Iterator[CapturedFrame]:
    """Yield every frame of a video file as JPEG. Its capture time is `start` plus its position in the video.

    The video is opened for the first frame. It is released after the last frame, on any error, and when the iterator is
    closed.

    Args:
        path: the file.
        camera: the camera that took the frames.
        start: capture time of the first frame.
        rate: frames per second, above 0, from which the positions are computed; None takes the video's own.
        encode: makes the JPEG.
        label: the ground truth for every frame.

    Raises:
        SourceLost: it cannot be opened, has no frames, or ends early.
        SettingsError: the video states no rate and none was given.
    """
    with closing(video_frames(path, rate)) as frames:
        for position, pixels in frames:
            captured_at = EventMillis(start + round(position * 1000))
            yield CapturedFrame(camera, encode(pixels()), captured_at, content_type="image/jpeg", label=label)


def video_frames(path: Path, rate: float | None = None) -> Generator[VideoFrame, None, None]:
    """Yield every frame of a video file, not converted yet. Arguments and errors are those of `read_video`."""
    if not path.is_file():
        raise SourceLost(f"there is no video file {path}")
    with opened_video(path) as capture:
        own_rate = capture.get(cv2.CAP_PROP_FPS)
        positions = rate or own_rate
        if not (math.isfinite(positions) and positions > 0):
            raise SettingsError([f"{path} states no frame rate: give one"])

        def damaged(number: int) -> SourceLost:
            return SourceLost(f"{path} ends after {number} of {promised:.0f} frames: it is damaged or truncated")

        # OpenCV reports the end and an error in the same way. Some containers only estimate their number of frames,
        # from a duration that may be that of the sound, so one second may be missing.
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        for number in count():
            if not capture.grab():
                break

            def pixels(number: int = number) -> MatLike:
                read, picture = capture.retrieve()
                if not read:
                    raise damaged(number)
                return picture

            yield VideoFrame(number / positions, pixels)
        if number == 0 or number + own_rate < promised:
            raise damaged(number)


@contextmanager
def opened_video(file: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video file of OpenCV, and close it at the end.

    Raises:
        SourceLost: it cannot be opened.
    """
    video = cv2.VideoCapture(opencv_path(file))
    try:
        if not video.isOpened():
            raise SourceLost(
                f"{file} cannot be opened: it is damaged, or this build of OpenCV cannot read it; name a video, or a "
                "folder of pictures"
            )
        yield video
    finally:
        video.release()
