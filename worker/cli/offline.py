"""Files as frames: what `replay` and `render` read, and which labels the files have."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.frame_ids import named_by_file
from worker.media.folder import RECORDING, ListedFile, frames_of, list_folder

_SHOWN: Final = 3
"""Sub-folders that a note names."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """Frames of files.

    Attributes:
        frames: reads them, from the first on each time; their times begin at 0.
        count: how many there are; None if only reading tells, as for a video.
        note: what a person should know of their labels; empty if there is nothing to say.
        alone: names of pictures that belong to no camera: each is taken for one of its own, as `evaluate` does; None if
            there are cameras.
    """

    frames: Callable[[], Iterator[CapturedFrame]]
    count: int | None
    note: str = ""
    alone: Sequence[str] | None = None


def open_source(
    source: Path, *, labels: Path | None, camera: str | None, rate: float, classes: Sequence[str]
) -> FileSource:
    """Return the frames of a folder of pictures or of a video. The pictures of a folder are named after their files.

    Without a CSV, the sub-folders are the labels if at least half of them are named after classes of the model. Others
    may be named after dates or cameras: "12" would then be taken for the class of index 12.

    Args:
        source: the folder or the file.
        labels: a CSV of labels and recorded headers.
        camera: the camera of all frames; None takes their own, or else the name of the source.
        rate: pictures per second of a folder, where no capture time is recorded.
        classes: names of the model's classes.

    Raises:
        SettingsError: there are no pictures, or `labels` has faults.
        SourceLost: raised when the frames are read, if they cannot be.
    """
    from worker.media.video import read_video

    start = EventMillis(0)
    if not source.is_dir():
        return FileSource(partial(read_video, source, camera=camera or source.stem, start=start, rate=None), None)
    listed, note = list_folder(source, labels=labels), ""
    if labels is None:
        listed, note = labelled_by_folder(listed, frozenset(classes))
        if (source / RECORDING).is_file():
            note = f"labels: {source / RECORDING} is not read; to take its labels, add --labels {source / RECORDING}"
    listed = named_by_file(listed)
    name = source.resolve().name
    frames = partial(frames_of, listed, start=start, rate=rate, camera=camera, other_camera=name)
    no_camera = camera is None and not any(each.camera for each in listed)
    return FileSource(frames, len(listed), note, [each.name for each in listed] if no_camera else None)


def labelled_by_folder(listed: Sequence[ListedFile], classes: Collection[str]) -> tuple[list[ListedFile], str]:
    """Return files without labels that are not classes of the model, and a note that says which there are."""
    folders = list(dict.fromkeys(each.label for each in listed if each.label is not None))
    others = [name for name in folders if name not in classes]
    if not folders:
        return list(listed), ""
    known = len(folders) - len(others)
    taken = frozenset(classes) if known and known >= len(others) else frozenset()
    return [each if each.label in taken else replace(each, label=None) for each in listed], _note(folders, others)


def _note(folders: Sequence[str], others: Sequence[str]) -> str:
    known = len(folders) - len(others)
    if not others:
        return "labels: the sub-folders, because they are named after classes of the model"
    shown = ", ".join(map(repr, others[:_SHOWN])) + (", ..." if len(others) > _SHOWN else "")
    share = f"{known} of {len(folders)} sub-folders"
    if known and known >= len(others):
        return f"labels: {share}; not named after a class of the model: {shown}"
    return (
        f"labels: none, because only {share} are named after classes of the model, and not {shown}; "
        "name them after its classes, or give labels with --labels CSV"
    )
