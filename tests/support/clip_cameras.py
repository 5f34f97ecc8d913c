"""Cameras for the model of `clip_program`, and what must come of their frames, counted from the topics alone.

A camera numbers its frames from 0. The number is the frame's id, and its picture tells it too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import count, pairwise
from pathlib import Path
from random import Random
from threading import Event
from typing import Any, Final

from tests.support.cameras import last_tallies, published_counts
from tests.support.clip_program import FRAMES, RATE, grey_picture, label_of, labels, shown_by
from tests.support.clips import Clip, Shot, clips_by_hand
from tests.support.workers import Stage
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.domain.errors import FrameRejected
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import EventMillis, Monotonic

STRIDE: Final = 3
"""Slots: clips overlap, so a worker that takes over needs frames of which some are published."""
LATENESS: Final = 200
"""Milliseconds."""
SPEEDS: Final = (30, 25, 12, 20)
"""Frames a second of the cameras of `shuffled`."""
LAST: Final = f"cam-{len(SPEEDS) - 1}"
"""The camera of `shuffled` that can be made to fall silent."""

_LEAST: Final = (FRAMES + 1) // 2

Place = tuple[int, int]
"""Partition and offset of a frame."""


def clip_settings(model: Path, **sampling: float) -> dict[str, dict[str, Any]]:
    """Return the settings of a worker that shows these cameras' clips to a model, by group."""
    return {
        "model": {"path": str(model), "top_k": FRAMES},
        "sampling": {"stride": STRIDE, **sampling},
        "window": {"max_frames": 8 * FRAMES, "lateness_ms": LATENESS},
    }


# ----- what is sent


def in_order(on: Stage, cameras: int) -> Iterator[OutboundRecord]:
    """Shoot frames with the time at which each is sent, the cameras in turn."""
    last = EventMillis(0)
    for number in count():
        for camera in range(cameras):
            last = EventMillis(max(last + 1, wall_clock()))
            yield _record(on, camera, number, last)


def shuffled(on: Stage, random: Random, silent: Event) -> Iterator[OutboundRecord]:
    """Shoot frames at the `SPEEDS` of the cameras: 5 % are lost, 10 % come twice, 1 % have a header that is damaged.

    They come in another order than they were captured in, none of them later than `LATENESS` after a later one.

    Args:
        on: where to.
        random: makes the choices.
        silent: once it is set, the `LAST` camera shoots no more.
    """
    began = wall_clock() - 60_000
    at = [began + random.uniform(0, 1000) for _ in SPEEDS]
    numbers, ties, pending = [0 for _ in SPEEDS], count(), list[tuple[float, int, OutboundRecord]]()
    for until in count(began, 100):
        for camera, speed in enumerate(SPEEDS[:-1] if silent.is_set() else SPEEDS):
            while at[camera] < until:
                arrives, is_bad = at[camera] + random.uniform(0, LATENESS - 5), random.random() < 0.01
                record = _record(on, camera, numbers[camera], EventMillis(int(at[camera])), is_bad=is_bad)
                if random.random() > 0.05:
                    heappush(pending, (arrives, next(ties), record))
                    if random.random() < 0.1:
                        heappush(pending, (arrives + random.uniform(0, 4), next(ties), record))
                at[camera] += 1000 / speed + random.uniform(-8, 8)
                numbers[camera] += 1
        while pending and pending[0][0] < until:
            yield heappop(pending)[2]


def _record(on: Stage, camera: int, number: int, at: EventMillis, *, is_bad: bool = False) -> OutboundRecord:
    """Write a frame. By turns its label is right for the last place, perhaps for the first, no class, and missing."""
    back = round(SPEEDS[camera % len(SPEEDS)] * (FRAMES - 1) / RATE)
    label = [label_of(FRAMES - 1, number), label_of(0, max(0, number - back)), "no such class", None][number % 4]
    name, picture = f"cam-{camera}", grey_picture(number)
    frame = CapturedFrame(name, picture, at, "image/png", frame_id=str(number), label=label)
    sent = wire.render_frame(on.frames, frame)
    headers = [(key, b"soon" if is_bad and key == "captured-at" else value) for key, value in sent.headers]
    return OutboundRecord(sent.topic, camera % on.partitions, sent.key, sent.value, tuple(headers))


# ----- what came of it


@dataclass(frozen=True)
class Filmed:
    """What lies in the topics.

    Attributes:
        clips: the predictions.
        skipped: reason of each frame that was left out, once for each message.
        dead: the frames that were refused, once for each dead letter.
    """

    frames: Sequence[Record]
    clips: Sequence[wire.ClipMessage]
    skipped: Sequence[tuple[Place, str]]
    dead: Sequence[Place]
    accuracy: Sequence[Record]

    @classmethod
    def now(cls, on: Stage) -> "Filmed":
        """Read all topics completely."""
        skipped = [wire.decode_skipped(record.value or b"") for record in on.read(on.skipped)]
        dead = [wire.parse_dead_letter(record) for record in on.read(on.dead_letters)]
        return cls(
            frames=on.read(on.frames),
            clips=on.read_clips(),
            skipped=[((each.frame.partition, each.frame.offset), each.reason) for each in skipped],
            dead=[(each.partition, each.offset) for each in dead],
            accuracy=on.read(on.accuracy),
        )

    @cached_property
    def shots(self) -> Mapping[Place, Shot]:
        """The frames that can be read, by their place."""
        shots = {}
        for record in self.frames:
            try:
                frame = wire.parse_frame(record, arrived_at=record.timestamp, arrived=Monotonic(0.0)).frame
            except FrameRejected:
                continue
            place = (record.position.partition.partition, record.position.offset)
            shots[place] = Shot(int(frame.frame_id), frame.camera, frame.captured_at, frame.label)
        return shots

    def expected(self) -> list[Clip]:
        """Return the clips that there must be, from all frames at once."""
        shots = set(self.shots.values())
        return clips_by_hand(shots, frames=FRAMES, rate=RATE, stride=STRIDE, least=_LEAST)

    def found(self) -> list[Clip]:
        """Return the clips that were predicted, with what the model was shown."""
        return [_clip_of(each) for each in self.clips]

    def differing_duplicates(self) -> list[Place]:
        """Return the places of predictions that differ from an earlier one of the same frame."""
        first: dict[Place, Any] = {}
        said = [(place_of(each), (each.clip, each.classes, each.label, each.correct)) for each in self.clips]
        return [place for place, what in said if first.setdefault(place, what) != what]

    def fates(self) -> Mapping[str, set[Place]]:
        """Return what became of the frames: of each kind, which.

        Only what was shown leaves no message. It is told by the levels that the model saw. Of a frame that came twice,
        the twin that was not skipped was shown.
        """
        predicted, skipped = {place_of(each) for each in self.clips}, {place for place, _ in self.skipped}
        by_number = {(shot.camera, shot.number): place for place, shot in self.shots.items() if place not in skipped}
        shown = {by_number.get((clip.camera, number)) for clip in self.found() for number in clip.shown}
        return {
            "predicted": predicted,
            "shown": {place for place in shown if place is not None} - predicted,
            "skipped": skipped,
            "dead_letters": set(self.dead),
        }

    def unaccounted(self) -> set[Place]:
        """Return the frames of which nothing became, or more than one thing."""
        times = Counter(place for kind in self.fates().values() for place in kind)
        places = {(record.position.partition.partition, record.position.offset) for record in self.frames}
        return {place for place in places | times.keys() if times[place] != 1 or place not in places}

    def accuracy_by_hand(self) -> Counter[tuple[str, str]]:
        """Count each clip once, with the label of its last frame as it was sent: by (camera, what is counted)."""
        names, counts = set(labels()), Counter[tuple[str, str]]()
        for place, clip in {place_of(each): each for each in self.clips}.items():
            camera, label = clip.frame.camera, self.shots[place].label
            classes = [each.name for each in clip.classes]
            counts[camera, "seen"] += 1
            counts[camera, "labelled"] += label in names
            counts[camera, "top1"] += classes[0] == label
            counts[camera, "top5"] += label in classes[:5]
        return +counts

    def accuracy_published(self) -> Counter[tuple[str, str]]:
        """Return the running accuracy, in the same form."""
        return published_counts(last_tallies(self.accuracy).values())

    def longest_silence(self) -> float:
        """Return the longest time in seconds that a camera sent nothing, by the records' timestamps."""
        sent: dict[bytes | None, list[int]] = {}
        for record in self.frames:
            sent.setdefault(record.key, []).append(record.timestamp)
        return longest_pause(sent.values())


def place_of(clip: wire.ClipMessage) -> Place:
    """Return the place of the frame that carries a prediction."""
    return clip.frame.partition, clip.frame.offset


def longest_pause(times: Iterable[Iterable[int]]) -> float:
    """Return the longest pause in seconds of several series of milliseconds."""
    pauses = (later - earlier for each in times for earlier, later in pairwise(sorted(each)))
    return max(pauses, default=0) / 1000


def _clip_of(message: wire.ClipMessage) -> Clip:
    first, last = int(message.clip.first.id), int(message.clip.last.id)
    assert message.frame.id == message.clip.last.id
    assert message.clip.frames == FRAMES
    shown = shown_by([each.index for each in message.classes], first)
    return Clip(message.frame.camera, shown, first, last, message.clip.used)
