"""The frames used to measure settings: a sample of the given frames, as records polled from Kafka."""

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
READ_PER_SAMPLE: Final = 20
"""Frames read for each frame sampled: a folder is often sorted by class, and consecutive frames of a video look
alike."""
POLL_SIZE: Final = 64

_CALIBRATION_STEP: Final = 5
_START: Final = EventMillis(0)


def read_frames(source: Path) -> Iterator[CapturedFrame]:
    """Read a folder of pictures or a video file.

    Raises:
        SettingsError: the folder has no pictures.
        SourceLost: the video or a picture cannot be read.
    """
    if source.is_dir():
        return read_folder(source, start=_START, rate=1)
    return read_video(source, camera=source.stem, start=_START, rate=1)


def sample_frames(frames: Iterable[CapturedFrame], count: int, *, in_a_row: bool) -> Sequence[CapturedFrame]:
    """Take a sample of the first frames. Each gets its own frame id and no label.

    Args:
        frames: any number of frames.
        count: frames to take, at least 1; fewer are returned if there are fewer.
        in_a_row: take one after the other, as a model needs them that sees time; else they are evenly spread.
    """
    taken = islice(frames, count) if in_a_row else _take_spread(iter(frames), count)
    return [replace(each, frame_id=str(number), label=None) for number, each in enumerate(taken)]


def set_apart(
    frames: Sequence[CapturedFrame], *, in_a_row: bool
) -> tuple[Sequence[CapturedFrame], Sequence[CapturedFrame]]:
    """Split frames: four fifths for the comparison and a fifth for the calibration.

    A model must not be judged by the frames that it was calibrated with.

    Args:
        frames: a sample.
        in_a_row: the last fifth is for the calibration, and no row is torn; else it is every fifth frame.
    """
    if in_a_row:
        kept = len(frames) - len(frames) // _CALIBRATION_STEP
        return frames[:kept], frames[kept:]
    return [each for number, each in enumerate(frames) if number % _CALIBRATION_STEP], frames[::_CALIBRATION_STEP]


def polls(
    frames: Sequence[CapturedFrame], *, rate: float | None = None, endless: bool = False
) -> Iterator[Sequence[Record]]:
    """Yield frames as polled records of one camera.

    Args:
        frames: all of them.
        rate: frames a second by their capture times; None gives all the same, and only its size closes a batch.
        endless: begin again after the last frame; time goes on.
    """
    sent = [wire.render_frame(PARTITION.topic, replace(each, camera="tune")) for each in frames]
    numbered = enumerate(cycle(sent) if endless else sent)
    while chunk := list(islice(numbered, POLL_SIZE)):
        yield [
            Record(
                Position(PARTITION, offset),
                each.key,
                each.value,
                tuple(header for header in each.headers if header[0] != CAPTURED_AT),
                EventMillis(_START + round(offset * 1000 / rate)) if rate else _START,
            )
            for offset, each in chunk
        ]


def _take_spread(frames: Iterator[CapturedFrame], count: int) -> list[CapturedFrame]:
    """Take every n-th frame, without knowing their number: when twice `count` are taken, every other one is dropped."""
    taken, step = list[CapturedFrame](), 1
    for number, frame in enumerate(islice(frames, count * READ_PER_SAMPLE)):
        if number % step == 0:
            taken.append(frame)
            if len(taken) == 2 * count:
                taken, step = taken[::2], 2 * step
    return [taken[number * len(taken) // count] for number in range(count)] if len(taken) > count else taken
