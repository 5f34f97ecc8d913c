"""Read the pictures of labelled data: a file's bytes, or a frame of a video as JPEG."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from worker.data.items import Item
from worker.domain.boxes import write_boxes
from worker.domain.errors import SourceLost
from worker.domain.frames import CapturedFrame
from worker.media.jpeg import JpegEncoder
from worker.media.video import video_frames
from worker.wire.header_values import as_identifier


def read_pictures(items: Iterable[Item]) -> Iterator[tuple[Item, bytes | None]]:
    """Yield each item with its encoded picture, in the same order; None where it cannot be read.

    A frame of a video is encoded as `vision-worker produce` sends it. Videos are read from their beginning, so items
    should be in order: those of a video together, by number.
    """
    for (file, from_video), found in groupby(items, key=lambda each: (each.file, each.number is not None)):
        if from_video:
            yield from _read_video(file, list(found))
        else:
            yield from ((item, _read_file(file)) for item in found)


def frames_of(items: Iterable[Item]) -> Iterator[CapturedFrame]:
    """Yield labelled pictures as the frames that cameras would send. Each stream is a camera.

    Raises:
        SourceLost: a picture cannot be read.
    """
    for item, data in read_pictures(items):
        if data is None:
            raise SourceLost(f"{item.file} cannot be read, or has no frame {item.number}")
        yield CapturedFrame(
            camera=as_identifier(item.stream),
            data=data,
            captured_at=item.captured_at,
            frame_id=as_identifier(item.name),
            label=item.label,
            boxes=item.boxes,
        )


def _read_file(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _read_video(file: Path, items: Sequence[Item]) -> Iterator[tuple[Item, bytes | None]]:
    encode, waiting = JpegEncoder(), iter(items)
    item = next(waiting, None)
    frames = video_frames(file)
    try:
        for number, frame in enumerate(frames):
            while item is not None and item.number == number:
                yield item, encode(frame.pixels())
                item = next(waiting, None)
            if item is None:
                return
    except SourceLost:
        pass  # the frames that are missing are yielded below, without a picture
    finally:
        frames.close()
    while item is not None:
        yield item, None
        item = next(waiting, None)


def hash_of(items: Iterable[Item]) -> str:
    """Return the sha256 of all names, groups, times, ground truths and files: equal data have equal hashes.

    A file that cannot be read counts as an empty one.
    """
    ordered = sorted(items, key=lambda each: each.name)
    files = {file: _hash_of_file(file) for file in {item.file for item in ordered}}
    total = hashlib.sha256()
    for each in ordered:
        boxes = None if each.boxes is None else write_boxes(each.boxes)
        facts = (each.name, each.group, each.captured_at, each.label, boxes, files[each.file])
        total.update(repr(facts).encode())
    return total.hexdigest()


def _hash_of_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256().hexdigest()
