"""The frames that settings are tried on: some of many, and how they come out of Kafka."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.media.folder import read_folder
from worker.media.video import read_video
from worker.wire.frame import CAPTURED_AT

PARTITION: Final = TopicPartition("tune", 0)
LOOKED_AT: Final = 20
"""For each frame that is taken: a folder is often sorted by class, and neighbours in a video look alike."""
A_POLL: Final = 64

_CALIBRATE: Final = 5
_START: Final = EventMillis(0)


def read_frames(source: Path) -> Iterator[CapturedFrame]:
    """Read a folder of pictures or a video file.

    Raises:
        SettingsError: the folder has no pictures.
        SourceLost: the video cannot be read, or a picture.
    """
    if source.is_dir():
        return read_folder(source, start=_START, rate=1)
    return read_video(source, camera=source.stem, start=_START, rate=1)


def sample_frames(frames: Iterable[CapturedFrame], count: int) -> Sequence[CapturedFrame]:
    """Take frames, spread evenly over the first part of all, each with a name of its own and without a label.

    Args:
        frames: of any number.
        count: of frames to take, at least 1; fewer where there are fewer.
    """
    taken = enumerate(_spread(iter(frames), count))
    return [replace(each, frame_id=str(number), label=None) for number, each in taken]


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


def _spread(frames: Iterator[CapturedFrame], count: int) -> list[CapturedFrame]:
    """Take every so many, without knowing how many there are: twice as many as wanted are thinned out to half."""
    taken, step = list[CapturedFrame](), 1
    for number, frame in enumerate(islice(frames, count * LOOKED_AT)):
        if number % step == 0:
            taken.append(frame)
            if len(taken) == 2 * count:
                taken, step = taken[::2], 2 * step
    return [taken[number * len(taken) // count] for number in range(count)] if len(taken) > count else taken
