"""The frames that settings are tried on: the user's own, else real photographs that move as before a camera."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from worker import wire
from worker.adapters.folder import read_folder
from worker.adapters.video import read_video
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.local.packages import FetchFailed
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene
from worker.wire.frame import CAPTURED_AT

PARTITION: Final = TopicPartition("tune", 0)
LOOKED_AT: Final = 20
"""For each frame that is taken: a folder is often sorted by class, and neighbours in a video look alike."""
A_POLL: Final = 64

_CALIBRATE: Final = 5
_START: Final = EventMillis(0)


def sample_frames(source: Path | None, count: int) -> Sequence[CapturedFrame]:
    """Take frames, spread evenly over the first part of the source, each with a name of its own and without a label.

    Args:
        source: a folder of pictures or a video file; None takes moving photographs of 640x480.
        count: of frames, at least 1; fewer where there are fewer.

    Raises:
        SettingsError: the folder has no pictures.
        SourceLost: the video cannot be read, or a picture.
        FetchFailed: there is no source, and the photographs cannot be had.
    """
    if source is None:
        frames = iter(_moving_photographs(count))
    elif source.is_dir():
        frames = read_folder(source, start=_START, rate=1)
    else:
        frames = read_video(source, camera=source.stem, start=_START, rate=1)
    return [replace(each, frame_id=str(number), label=None) for number, each in enumerate(_spread(frames, count))]


def set_apart(frames: Sequence[CapturedFrame]) -> tuple[Sequence[CapturedFrame], Sequence[CapturedFrame]]:
    """Return the frames to judge by, and a fifth to calibrate with: no model is judged by what it was fitted to."""
    return [each for number, each in enumerate(frames) if number % _CALIBRATE], frames[::_CALIBRATE]


def polls(frames: Sequence[CapturedFrame], *, for_ever: bool = False) -> Iterator[Sequence[Record]]:
    """Yield frames as they come out of Kafka from one camera, all of one moment: only their number ends a batch."""
    sent = [wire.render_frame(PARTITION.topic, replace(each, camera="tune")) for each in frames]
    endless = enumerate(cycle(sent) if for_ever else sent)
    while chunk := list(islice(endless, A_POLL)):
        yield [
            Record(
                Position(PARTITION, offset),
                each.key,
                each.value,
                tuple(header for header in each.headers if header[0] != CAPTURED_AT),
                _START,
            )
            for offset, each in chunk
        ]


def _moving_photographs(count: int) -> list[CapturedFrame]:
    each = -(-count // len(PHOTOGRAPHS))
    try:
        scenes = [Scene(load_photograph(one), one.seed, length=each) for one in PHOTOGRAPHS]
    except FetchFailed as error:
        raise WorkerError(f"there are no sample frames: name a folder or a video with --frames ({error})") from error
    return [
        CapturedFrame(one.name, jpeg, _START, "image/jpeg")
        for one, scene in zip(PHOTOGRAPHS, scenes, strict=True)
        for jpeg in scene.frames()
    ][:count]


def _spread(frames: Iterator[CapturedFrame], count: int) -> list[CapturedFrame]:
    """Take every so many, without knowing how many there are: twice as many as wanted are thinned out to half."""
    taken, step = list[CapturedFrame](), 1
    for number, frame in enumerate(islice(frames, count * LOOKED_AT)):
        if number % step == 0:
            taken.append(frame)
            if len(taken) == 2 * count:
                taken, step = taken[::2], 2 * step
    return [taken[number * len(taken) // count] for number in range(count)] if len(taken) > count else taken
