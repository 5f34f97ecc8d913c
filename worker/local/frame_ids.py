"""Which id does a picture of a folder carry as a frame?"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from worker.domain.frames import CapturedFrame
from worker.media.folder import ListedFile
from worker.wire import as_identifier


def named_by_file(listed: Iterable[ListedFile]) -> list[ListedFile]:
    """Name each picture after its path below the folder, unless a CSV has named it."""
    return [replace(each, frame_id=each.frame_id or as_identifier(each.name)) for each in listed]


def named_once(frames: Iterable[CapturedFrame]) -> Iterator[CapturedFrame]:
    """Yield the frames so that no two of a camera have the same id.

    A folder that is sent again, or another one with files of the same names, gets `#2` behind its ids, then `#3`.
    """
    times = Counter[tuple[str, str]]()
    for frame in frames:
        name = frame.frame_id
        if name is None:
            yield frame
            continue
        times[frame.camera, name] += 1
        while (count := times[frame.camera, name]) > 1 and (frame.camera, f"{name}#{count}") in times:
            times[frame.camera, name] += 1  # a picture of a folder has this very name
        yield replace(frame, frame_id=as_identifier(f"{name}#{count}")) if count > 1 else frame
