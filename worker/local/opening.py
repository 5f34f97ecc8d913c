"""Choose what reads each source: the schedule, or threads of its own."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from worker.adapters.clocks import wall_clock
from worker.domain.frames import CapturedFrame
from worker.local.frame_ids import named_by_file
from worker.local.live import Camera, Live, Playback
from worker.local.pacing import PICTURES_PER_SECOND, Reader
from worker.local.sources import Kind, Source
from worker.media.folder import frames_of, list_folder
from worker.media.jpeg import JpegEncoder
from worker.media.live import live_name, read_live
from worker.media.video import read_video


class Opened(NamedTuple):
    """The sources that are sent on schedule, and those that are live."""

    scheduled: list[Reader]
    live: list[Live]


def open_sources(
    sources: Sequence[Source],
    encode: JpegEncoder,
    *,
    rate: float | None,
    rounds: int | None,
    labels: Path | None,
    realtime: bool,
    give_up_after: float | None,
) -> Opened:
    """Return what reads each source. Nothing is read yet.

    Args:
        sources: in any order.
        encode: makes the JPEGs of videos.
        rate: frames per second of each source; None keeps the original.
        rounds: how often a video is played in real time; None means endless.
        labels: a CSV with labels of the folder.
        realtime: play videos in real time, as live sources.
        give_up_after: seconds without a frame after which a live source is given up; None never gives up.
    """
    opened = Opened([], [])
    for source in sources:
        where, camera = source.where, source.camera
        if not isinstance(where, Path):
            name = camera or live_name(where)
            opened.live.append(Camera(name, partial(read_live, where), rate=rate, give_up_after=give_up_after))
        elif source.kind is Kind.FOLDER:
            opened.scheduled.append(_pictures(where, camera, rate, labels))
        elif realtime:
            opened.live.append(Playback(camera or where.stem, where, rate, rounds))
        else:
            opened.scheduled.append(_video(where, camera or where.stem, rate, encode))
    return opened


def _pictures(folder: Path, camera: str | None, rate: float | None, labels: Path | None) -> Reader:
    def pictures() -> Iterator[CapturedFrame]:
        listed, name = named_by_file(list_folder(folder, labels=labels)), folder.resolve().name
        pace = rate or PICTURES_PER_SECOND
        return frames_of(listed, start=wall_clock(), rate=pace, camera=camera, other_camera=name)

    return pictures


def _video(path: Path, camera: str, rate: float | None, encode: JpegEncoder) -> Reader:
    return lambda: read_video(path, camera=camera, start=wall_clock(), rate=rate, encode=encode)
