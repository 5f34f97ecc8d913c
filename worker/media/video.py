"""Read a video file or a capture device as frames, with OpenCV."""

import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2

from worker.domain.errors import SettingsError, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis


def read_video(
    path_or_device: Path | int,
    *,
    camera: str,
    start: EventMillis,
    rate: float | None = None,
    quality: int = 90,
    label: str | None = None,
) -> Iterator[CapturedFrame]:
    """Yield every frame of a video as JPEG. Its capture time is `start` plus its position in the video.

    The video is opened for the first frame. It is released after the last frame, on any error, and when the iterator is
    closed.

    Args:
        path_or_device: a file, or the number of a capture device, which never ends.
        camera: the camera that took the frames.
        start: capture time of the first frame.
        rate: frames per second, above 0, from which the positions are computed; None takes the video's own.
        quality: of the JPEG, 1 to 100.
        label: the ground truth for every frame.

    Raises:
        SourceLost: it cannot be opened, has no frames, or ends early.
        SettingsError: the video states no rate and none was given.
    """
    if isinstance(path_or_device, Path) and not path_or_device.is_file():
        raise SourceLost(f"there is no video file {path_or_device}")
    capture = cv2.VideoCapture(path_or_device if isinstance(path_or_device, int) else str(path_or_device))
    try:
        if not capture.isOpened():
            raise SourceLost(f"{_source_name(path_or_device)} cannot be opened: {_advice(path_or_device)}")
        own_rate = capture.get(cv2.CAP_PROP_FPS)
        positions = rate or own_rate
        if not (math.isfinite(positions) and positions > 0):
            raise SettingsError([f"{_source_name(path_or_device)} states no frame rate: give one"])
        for number in count():
            read, pixels = capture.read()
            if not read:
                break
            _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            captured_at = EventMillis(start + round(number * 1000 / positions))
            yield CapturedFrame(camera, jpeg.tobytes(), captured_at, content_type="image/jpeg", label=label)
        if isinstance(path_or_device, int):
            raise SourceLost(
                f"{_source_name(path_or_device)} gives no more frames after {number}: {_advice(path_or_device)}"
            )
        # OpenCV reports the end and an error in the same way. Some containers only estimate their number of frames,
        # from a duration that may be that of the sound, so one second may be missing.
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if number == 0 or number + own_rate < promised:
            raise SourceLost(
                f"{path_or_device} ends after {number} of {promised:.0f} frames: it is damaged or truncated"
            )
    finally:
        capture.release()


def _source_name(path_or_device: Path | int) -> str:
    return f"capture device {path_or_device}" if isinstance(path_or_device, int) else str(path_or_device)


def _advice(path_or_device: Path | int) -> str:
    if isinstance(path_or_device, int):
        return f"is /dev/video{path_or_device} plugged in, readable for this user, and free?"
    return "it is damaged, or this build of OpenCV cannot read it"
