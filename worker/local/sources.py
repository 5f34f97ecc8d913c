"""What produces frames: a folder, a video file, or a live source."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """What a source is."""

    FOLDER = "folder"
    VIDEO = "video"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Source:
    """A source, not opened yet.

    Attributes:
        where: path of a folder or a file, or the address or device number of a live source.
        camera: the camera id of its frames; None, for a folder, lets its pictures have their own.
    """

    kind: Kind
    where: Path | str | int
    camera: str | None
