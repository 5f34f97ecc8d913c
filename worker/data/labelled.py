"""Labelled data of a folder: pictures by class folder or with a `frames.csv`, and videos."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final

from worker.data.items import Item
from worker.domain.errors import SettingsError, WorkerError
from worker.domain.times import EventMillis
from worker.media.folder import RECORDING, ListedFile, list_folder
from worker.media.video import video_frames

VIDEOS: Final = (".mp4", ".mkv", ".avi", ".mov", ".webm")
"""The suffixes of files that are read as videos."""


def read_labelled(data: Path, *, rate: float = 1.0) -> list[Item]:
    """List the pictures and the frames of videos of labelled data. Pictures are not read; videos are, for their times.

    There are two forms, which may be mixed:

    - A folder for each class, as in torchvision's ImageFolder. In it are pictures, each of which is a group of its own;
      or videos, each a group by its file's name; or sub-folders with the pictures of one camera or video, each a group
      by the sub-folder's name. A camera may have a sub-folder of the same name in several class folders: it stays one
      group.
    - A CSV, or a folder with a `frames.csv`, as `worker.media.folder` reads and writes them. The column `file` may name
      videos too; their label is that of all their frames. The column `camera-id` names the group. Without it, the
      file's folder does, or the picture is a group of its own.

    Args:
        data: the folder or the CSV, whose files are beside it.
        rate: pictures a second of a stream of pictures without capture times, above 0.

    Raises:
        SettingsError: there is nothing to read, or the CSV or a video has faults: all of them.
    """
    folder, labels = (data.parent, data) if data.suffix.lower() == ".csv" else (data, data / RECORDING)
    with_rows = labels.is_file() or labels == data
    listed = list_folder(folder, labels=labels if with_rows else None, also=VIDEOS)
    items, faults, places = list[Item](), list[str](), dict[str, Iterator[int]]()
    for each in listed:
        group, stream = _belongs_to(each, with_rows=with_rows)
        if each.file.suffix.lower() in VIDEOS:
            try:
                items += _frames_of(each, group, stream)
            except WorkerError as error:
                faults += str(error).splitlines()
            continue
        place = next(places.setdefault(stream, count()))
        at = EventMillis(round(place * 1000 / rate)) if each.captured_at is None else each.captured_at
        items.append(Item(each.name, group, stream, at, each.label, each.boxes, each.file))
    if faults:
        raise SettingsError(faults)
    return items


def _belongs_to(listed: ListedFile, *, with_rows: bool) -> tuple[str, str]:
    """Return the group and the stream of a file."""
    if listed.camera is not None:
        return listed.camera, listed.camera
    path = PurePosixPath(listed.name)
    if listed.file.suffix.lower() in VIDEOS:
        return path.stem, listed.name
    folders = path.parts[:-1] if with_rows else path.parts[1:-1]
    return ("/".join(folders), str(path.parent)) if folders else (listed.name, listed.name)


def _frames_of(listed: ListedFile, group: str, stream: str) -> Iterator[Item]:
    start = listed.captured_at or EventMillis(0)
    for number, frame in enumerate(video_frames(listed.file)):
        at = EventMillis(start + round(frame.position * 1000))
        name = f"{listed.name}#{number}"
        yield Item(name, group, stream, at, listed.label, listed.boxes, listed.file, number)
