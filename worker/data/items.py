"""What there is to learn from: a labelled picture, which camera it is from, and where its bytes are."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker.domain.boxes import TrueBox
from worker.domain.times import EventMillis


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, or a frame of a video, with its ground truth. It is not read yet.

    Attributes:
        name: where it is below the data's folder; a frame of a video as `street.mp4#12`.
        group: the camera or the video. Pictures of one group are alike, so all of them are in one part of a split.
        stream: whose frames follow one another in time. A camera whose pictures lie in several class folders is one
            group, but one stream in each of them.
        captured_at: event time in milliseconds; of pictures without a time, their place in the stream.
        label: the class; None if there is none.
        boxes: the ground truth of a detector; empty where there is nothing, None where nothing is known.
        file: the picture's file, or the video's.
        number: which frame of a video, from 0; None for a picture.
    """

    name: str
    group: str
    stream: str
    captured_at: EventMillis
    label: str | None
    boxes: tuple[TrueBox, ...] | None
    file: Path
    number: int | None = None


def in_order_of_time(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return the items of each stream, in order of capture.

    >>> in_order_of_time([])
    {}
    """
    streams = dict[str, list[Item]]()
    for item in sorted(items, key=lambda each: (each.stream, each.captured_at)):
        streams.setdefault(item.stream, []).append(item)
    return streams
