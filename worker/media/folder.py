"""List and read a folder of pictures as frames, and write frames as such a folder, from which the same are read."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from worker.domain.boxes import TrueBox, read_boxes, write_boxes
from worker.domain.errors import SettingsError, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis

RECORDING: Final = "frames.csv"

_REQUIRED: Final = ("file", "label")
_COLUMNS: Final = (*_REQUIRED, "camera-id", "frame-id", "captured-at", "content-type", "boxes")
_NOTES: Final = ("position", "predicted", "probability")
"""Columns for people, which are not read back: where in Kafka the frame lay, and what a model said of it."""
_CONTENT_TYPES: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
_BEGINNINGS: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), ".webp"),
)
_DIGITS: Final = re.compile("([0-9]+)")
_LATEST: Final = 2**63

_Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a folder, and what the folder says of it; it is not read yet.

    Attributes:
        name: its path below the folder, with `/`.
        file: its path.
        camera: None if no row of a CSV names one.
        captured_at: event time in milliseconds; None if no row of a CSV says it.
        content_type: None if a row leaves it open.
        frame_id: None if no row names it.
        label: None if there is none.
        boxes: the ground truth of a detector; None where nothing is known.
    """

    name: str
    file: Path
    camera: str | None
    captured_at: EventMillis | None
    content_type: str | None
    frame_id: str | None
    label: str | None
    boxes: tuple[TrueBox, ...] | None


def read_folder(
    folder: Path, *, start: EventMillis, rate: float, labels: Path | None = None, camera: str | None = None
) -> Iterator[CapturedFrame]:
    """Yield every .jpg, .jpeg, .png and .webp below a folder as a frame, its bytes unchanged, `img2` before `img10`.

    A picture in a sub-folder is labelled with the sub-folder's name (torchvision's ImageFolder layout). If a picture
    has a row in `labels`, the row's values are used instead; an empty cell means that there is no value.

    Args:
        folder: where the pictures are, at any depth.
        start: capture time of the first picture.
        rate: pictures per second, above 0; used if the CSV gives no capture times.
        labels: a CSV with the columns `file` (path below the folder, with `/`) and `label`, and any of `camera-id`,
            `frame-id`, `captured-at` (milliseconds; if present, needed for every picture), `content-type` and
            `boxes` (JSON, as of `worker.domain.boxes.read_boxes`).
        camera: the camera of all pictures; None takes the row's camera, else the folder's name.

    Raises:
        SettingsError: there are no pictures, or the CSV has faults: all of them, with their lines. Raised by the call.
        SourceLost: a picture cannot be read. Raised when the iterator reaches it.
    """
    listed = list_folder(folder, labels=labels)
    return frames_of(listed, start=start, rate=rate, camera=camera, other_camera=folder.resolve().name)


def frames_of(
    listed: Iterable[ListedFile], *, start: EventMillis, rate: float, camera: str | None, other_camera: str
) -> Iterator[CapturedFrame]:
    """Yield listed pictures as frames; each is read when it is its turn.

    Args:
        listed: the pictures.
        start: capture time of the first picture.
        rate: pictures per second, above 0; used for those without a capture time.
        camera: the camera of all pictures; None takes their own.
        other_camera: of pictures without a camera of their own.

    Raises:
        SourceLost: a picture cannot be read.
    """
    for number, each in enumerate(listed):
        at = EventMillis(start + round(number * 1000 / rate)) if each.captured_at is None else each.captured_at
        yield CapturedFrame(
            camera=camera or each.camera or other_camera,
            data=_read_bytes(each.file),
            captured_at=at,
            content_type=each.content_type,
            frame_id=each.frame_id,
            label=each.label,
            boxes=each.boxes,
        )


class Row(NamedTuple):
    """A frame to be written, with notes for people.

    Attributes:
        below: the sub-folder that its picture goes to; empty for none.
        position: where in Kafka it lay.
        predicted: what a model said of it.
        probability: how likely the model holds that.
    """

    frame: CapturedFrame
    below: str = ""
    position: str | None = None
    predicted: str | None = None
    probability: float | None = None


def list_folder(folder: Path, *, labels: Path | None = None, also: Collection[str] = ()) -> list[ListedFile]:
    """List every .jpg, .jpeg, .png and .webp below a folder, `img2` before `img10`. No file but the CSV is read.

    Args:
        folder: where the pictures are, at any depth.
        labels: a CSV, as of `read_folder`.
        also: more suffixes that are listed, such as ".mp4".

    Raises:
        SettingsError: there are no such files, or the CSV has faults: all of them, with their lines.
    """
    if not folder.is_dir():
        raise SettingsError([f"{folder} is not a folder"])
    suffixes = {*_CONTENT_TYPES, *also}
    files = [file for file in folder.rglob("*") if file.suffix.lower() in suffixes and file.is_file()]
    found = {file.relative_to(folder).as_posix(): file for file in files}
    if not found:
        what = "pictures or videos" if also else "pictures"
        endings = ", ".join([*_CONTENT_TYPES, *also])
        raise SettingsError([f"{folder} has no {what}: none of its files ends in {endings}"])
    rows = _read_rows(labels, found) if labels else {}
    return [_listed(name, found[name], rows.get(name, {})) for name in sorted(found, key=_natural_order)]


def _listed(name: str, file: Path, row: _Row) -> ListedFile:
    parent, _, _ = name.rpartition("/")
    at = row.get("captured-at")
    return ListedFile(
        name=name,
        file=file,
        camera=row.get("camera-id") or None,
        captured_at=EventMillis(int(at)) if at else None,
        content_type=row.get("content-type", _CONTENT_TYPES.get(file.suffix.lower(), "")) or None,
        frame_id=row.get("frame-id") or None,
        label=row.get("label", parent.partition("/")[0]) or None,
        boxes=read_boxes(row["boxes"]) if row.get("boxes") else None,
    )


def write_recording(folder: Path, frames: Iterable[CapturedFrame]) -> Path:
    """Write frames as pictures and a CSV, from which `read_folder` reads the same frames in the same order.

    Args:
        folder: is created; must be empty.
        frames: the frames; `read_folder` reads an empty text in one as None.

    Returns:
        The CSV; pass it as `labels`.

    Raises:
        SettingsError: the folder is not empty, or cannot be written.
    """
    return write_rows(folder, map(Row, frames), notes=False)


def write_rows(folder: Path, rows: Iterable[Row], *, notes: bool = True) -> Path:
    """Write frames as `write_recording` does, some of them in sub-folders, and notes of them in the CSV.

    The bytes are not changed. A file's suffix follows the content type, else the first bytes; .jpg if both are unknown.
    """
    check_empty(folder)
    recording, columns = folder / RECORDING, (*_COLUMNS, *_NOTES) if notes else _COLUMNS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with recording.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            for number, row in enumerate(rows):
                name = "/".join(filter(None, (row.below, f"{number:08}{_suffix(row.frame)}")))
                (folder / row.below).mkdir(exist_ok=True)
                (folder / name).write_bytes(row.frame.data)
                table.writerow(_cells(name, row))
    except OSError as error:
        raise SettingsError([f"{error.filename or folder} cannot be written: {error.strerror}"]) from error
    return recording


def _cells(name: str, row: Row) -> dict[str, object]:
    frame = row.frame
    return {
        "file": name,
        "label": frame.label,
        "camera-id": frame.camera,
        "frame-id": frame.frame_id,
        "captured-at": frame.captured_at,
        "content-type": frame.content_type,
        "boxes": None if frame.boxes is None else write_boxes(frame.boxes),
        "position": row.position,
        "predicted": row.predicted,
        "probability": row.probability,
    }


def _suffix(frame: CapturedFrame) -> str:
    by_content = (suffix for begins, suffix in _BEGINNINGS if begins.match(frame.data))
    return _SUFFIXES.get(frame.content_type or "") or next(by_content, ".jpg")


def check_empty(folder: Path) -> None:
    """Check that files can be written to a folder without being mixed with others.

    Raises:
        SettingsError: it is a file, or has files.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SettingsError(
            [f"{folder} is not an empty folder: write to a new one, so that no files are mixed or lost"]
        )


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceLost(f"{file} cannot be read: {error.strerror}") from error


def _read_rows(labels: Path, pictures: Mapping[str, Path]) -> dict[str, _Row]:
    """Read the CSV, one row per picture."""
    rows = dict[str, _Row]()
    faults = list[str]()
    try:
        # Spreadsheets begin UTF-8 with a byte order mark.
        with labels.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            header = next(table, [])
            if wrong := _header_fault(header):
                raise SettingsError([f"{labels}:1: {wrong}"])
            for cells in filter(None, table):
                if len(cells) != len(header):
                    faults.append(f"{labels}:{table.line_num}: {len(cells)} cells under {len(header)} columns")
                    continue
                row = dict(zip(header, cells, strict=True))
                faults += [f"{labels}:{table.line_num}: {fault}" for fault in _row_faults(row, pictures, rows)]
                rows[row["file"]] = row
    except OSError as error:
        raise SettingsError([f"{labels} cannot be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError([*faults, f"{labels} is not a CSV file in UTF-8: {error}"]) from error
    # If recorded and computed times were mixed, two frames could be decades apart.
    if "captured-at" in header and (unnamed := [name for name in pictures if name not in rows]):
        faults.append(f"{labels}: captured-at is needed for every picture, but {unnamed[0]!r} has no row")
    if faults:
        raise SettingsError(faults)
    return rows


def _header_fault(header: list[str]) -> str | None:
    if missing := [name for name in _REQUIRED if name not in header]:
        return f"no column {' and no column '.join(missing)}: the first line names the columns"
    if unknown := [name for name in header if name not in (*_COLUMNS, *_NOTES)]:
        return f"unknown column {', '.join(map(repr, unknown))}: known are {', '.join((*_COLUMNS, *_NOTES))}"
    if len(set(header)) < len(header):
        return "a column is named twice"
    return None


def _row_faults(row: _Row, pictures: Mapping[str, Path], rows: Mapping[str, _Row]) -> list[str]:
    faults = list[str]()
    if row["file"] not in pictures:
        faults.append(f"no picture {row['file']!r} below the folder")
    if row["file"] in rows:
        faults.append(f"{row['file']!r} has a row already")
    at = row.get("captured-at", "0")
    if not (at.isascii() and at.isdigit() and len(at) <= len(str(_LATEST)) and int(at) < _LATEST):
        faults.append(f"captured-at is {at!r}: it must be milliseconds since the epoch, in decimal digits")
    try:
        read_boxes(row.get("boxes") or "[]")
    except ValueError as error:
        faults.append(f"boxes: {error}")
    return faults


def _natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that orders numbers in names by value; the name itself orders `1` and `01`."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(_DIGITS.split(name))], name
