"""Read a live source, a camera's address or a capture device, with OpenCV, until it is lost."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

import cv2
from cv2.typing import MatLike

from worker.domain.errors import SourceLost
from worker.media.addresses import shown_address

SILENCE_LIMIT: Final = 10.0
"""Seconds without an answer, while an address is opened or read, after which it is lost."""
_ENVIRONMENT: Final = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET; OPENCV_FFMPEG_DEBUG does not override it
    "OPENCV_FFMPEG_IS_THREAD_SAFE": "1",  # it has been since FFmpeg 4
}


@contextmanager
def libraries_for_live() -> Iterator[None]:
    """Set OpenCV and FFmpeg up for live sources, for the whole process; enter this before anything is opened.

    They write nothing to standard error: depending on the environment, they would write whole addresses. And they open
    several addresses at the same time: OpenCV would hold a lock while it opens one, so that a camera that does not
    answer would keep all others from being opened.
    """
    before, level = {name: os.environ.get(name) for name in _ENVIRONMENT}, cv2.utils.logging.getLogLevel()
    os.environ.update(_ENVIRONMENT)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def read_live(source: str | int) -> Generator[Callable[[], MatLike], None, None]:
    """Yield each frame as it arrives, not converted yet, until the source is lost.

    What is yielded returns the frame as BGR; it is to be called before the next frame is read.

    Args:
        source: an address that `check_address` accepts, or the number of a capture device.

    Raises:
        SourceLost: the source cannot be opened, or gives no more frames. The text tells no password.
    """
    capture = cv2.VideoCapture(source) if isinstance(source, int) else _open_address(source)
    try:
        if not capture.isOpened():
            raise SourceLost(f"{live_name(source)} cannot be opened: {_advice(source)}")
        for number in count():
            if not capture.grab():
                raise SourceLost(f"{live_name(source)} gives no more frames after {number}: {_advice(source)}")
            yield lambda: _retrieve(capture, source)
    finally:
        capture.release()


def live_name(source: str | int) -> str:
    """Return what to call a source in a text for people; an address without user, password and query."""
    return f"capture device {source}" if isinstance(source, int) else shown_address(source)


def _open_address(address: str) -> cv2.VideoCapture:
    limit = round(SILENCE_LIMIT * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    # With several threads, FFmpeg's decoders give a frame only when one more frame for each thread has arrived.
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, 1])


def _retrieve(capture: cv2.VideoCapture, source: str | int) -> MatLike:
    read, pixels = capture.retrieve()
    if not read:
        raise SourceLost(f"{live_name(source)} gives a frame that cannot be decoded")
    return pixels


def _advice(source: str | int) -> str:
    if isinstance(source, int):
        return f"is /dev/video{source} plugged in, readable for this user, and free?"
    return "is the camera on, can this machine reach it, and are path, user and password right?"
