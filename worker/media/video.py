"""A video file or a capture device as frames, with OpenCV."""

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
    """Give every frame of a video as JPEG, `start` plus its position as its capture time.

    Opened when the first frame is taken; released when the last one was, on any error, and when the iterator is closed.

    Args:
        path_or_device: a file, or the number of a capture device, which has no end.
        camera: who took the frames.
        start: capture time of the first one.
        rate: frames a second, above 0, that the positions go by; None for the video's own.
        quality: of the JPEG, 1 to 100.
        label: the ground truth for every frame.

    Raises:
        SourceLost: it cannot be opened, has no frames, or ends before its end.
        SettingsError: it tells no rate and none was given.
    """
    if isinstance(path_or_device, Path) and not path_or_device.is_file():
        raise SourceLost(f"there is no video file {path_or_device}")
    capture = cv2.VideoCapture(path_or_device if isinstance(path_or_device, int) else str(path_or_device))
    try:
        if not capture.isOpened():
            raise SourceLost(f"{_named(path_or_device)} cannot be opened: {_advice(path_or_device)}")
        own_rate = capture.get(cv2.CAP_PROP_FPS)
        positions = rate or own_rate
        if not (math.isfinite(positions) and positions > 0):
            raise SettingsError([f"{_named(path_or_device)} tells no frame rate: give one"])
        for number in count():
            there, pixels = capture.read()
            if not there:
                break
            _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            captured_at = EventMillis(start + round(number * 1000 / positions))
            yield CapturedFrame(camera, jpeg.tobytes(), captured_at, content_type="image/jpeg", label=label)
        if isinstance(path_or_device, int):
            raise SourceLost(f"{_named(path_or_device)} gives no more frames after {number}: {_advice(path_or_device)}")
        # OpenCV says "no more" at the end and at an error alike. Some containers only estimate how many frames they
        # have, from a duration that may be the sound's, hence the second.
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if number == 0 or number + own_rate < promised:
            raise SourceLost(
                f"{path_or_device} ends after {number} of {promised:.0f} frames: it is damaged or cut short"
            )
    finally:
        capture.release()


def _named(path_or_device: Path | int) -> str:
    return f"capture device {path_or_device}" if isinstance(path_or_device, int) else str(path_or_device)


def _advice(path_or_device: Path | int) -> str:
    if isinstance(path_or_device, int):
        return f"is /dev/video{path_or_device} plugged in, readable for this user, and free?"
    return "it is damaged, or no video that this build of OpenCV can read"
