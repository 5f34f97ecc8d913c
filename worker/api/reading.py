"""Files as pictures: a folder, or the frames of a video."""

from collections.abc import Iterator
from pathlib import Path

from worker.api.pictures import Picture
from worker.domain.errors import SettingsError
from worker.domain.times import EventMillis
from worker.media.folder import list_folder


def read(source: str | Path, *, labels: Path | str | None = None) -> Iterator[Picture]:
    """Return the pictures of a folder, `img2` before `img10`, or the frames of a video. Each is read when it is needed.

    Args:
        source: a folder with .jpg, .jpeg, .png or .webp files at any depth, or a video file.
        labels: of a folder, where labels are: "folders" takes the name of the sub-folder that each picture is in; the
            path of a CSV takes its columns, as `vision-worker replay --labels` does; None: there are none.

    Yields:
        Pictures whose `id` is the path below the folder, or whose `captured_at` is the time in the video.

    Raises:
        SettingsError: there are no pictures, or the CSV has faults. Raised by the call.
        SourceLost: the video cannot be read. Raised by the iterator.
    """
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, labels)
    if not path.is_file():
        raise SettingsError([f"{path} does not exist: give a folder of pictures, or a video file"])
    if labels is not None:
        raise SettingsError([f"labels describe a folder, and {path} is a file: leave them out"])
    return _read_video(path)


def _read_folder(folder: Path, labels: Path | str | None) -> Iterator[Picture]:
    by_folder = labels == "folders"
    listed = list_folder(folder, labels=None if labels is None or by_folder else Path(labels))
    camera = folder.resolve().name
    return (
        Picture(
            each.file,
            label=None if labels is None else each.label,
            boxes=each.boxes,
            camera=each.camera or camera,
            captured_at=each.captured_at,
            id=each.frame_id or each.name,
        )
        for each in listed
    )


def _read_video(path: Path) -> Iterator[Picture]:
    from worker.media.video import read_video

    frames = read_video(path, camera=path.stem, start=EventMillis(0))
    return (
        Picture(each.data, camera=each.camera, captured_at=each.captured_at, id=f"{path.name}#{number}")
        for number, each in enumerate(frames)
    )
