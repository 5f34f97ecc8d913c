"""Write pictures as files of a folder."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import SettingsError
from worker.media.folder import check_empty


def write_pictures(folder: Path, pictures: Iterable[NDArray[np.uint8]], *, quality: int = 92) -> int:
    """Write pictures as JPEG, numbered from 00000000.jpg on, while they are made: none is kept.

    Args:
        folder: is created; must be empty.
        pictures: RGB, (height, width, 3), uint8.
        quality: of the JPEG, 1 to 100.

    Returns:
        How many there are.

    Raises:
        SettingsError: the folder is not empty, or cannot be written.
    """
    check_empty(folder)
    count = 0
    for number, pixels in enumerate(pictures):
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        file = folder / f"{number:08}.jpg"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg.tobytes())
        except OSError as error:
            raise SettingsError([f"{file} cannot be written: {error.strerror}"]) from error
        count = number + 1
    return count
