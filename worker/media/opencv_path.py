"""A path for OpenCV, which ends the program without a word if a path is not UTF-8."""

import os
from pathlib import Path

from worker.domain.errors import WorkerError


def opencv_path(file: Path) -> str:
    """Return a path that OpenCV can open.

    Raises:
        WorkerError: it is not UTF-8.
    """
    try:
        return os.fsencode(file).decode()
    except UnicodeDecodeError as error:
        raise WorkerError(f"{file}: OpenCV opens no file whose path is not UTF-8; rename it") from error
