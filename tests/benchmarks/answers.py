"""What contestants answer to the same frames: each frame has a camera of its own, so that its key names its answer."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.frames import CAMERAS, PARTITIONS, USUAL, pictures
from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record
from worker.domain.times import EventMillis
from worker.local.agreement import torchvision_loop
from worker.models.manifest import Manifest

_STEP: Final = 100
"""Milliseconds between two frames, by capture time."""

Names = Mapping[bytes, str]
"""The most likely class of each frame, by the key of its messages."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a contestant's answers compare with the expected ones.

    Attributes:
        frames: frames that were sent.
        same: those whose most likely class is the expected one, each time that it was published.
        repeated: results beyond one for each frame.
    """

    frames: int
    same: int
    repeated: int

    def __str__(self) -> str:
        return f"{self.same:,} of {self.frames:,}" + (f", {self.repeated:,} published again" * bool(self.repeated))


def frames_to_answer(topic: str, count: int, newest: EventMillis) -> Iterator[OutboundRecord]:
    """Yield that many frames of different cameras, as messages; the pictures repeat.

    Args:
        topic: the topic to send to.
        count: number of frames.
        newest: capture time of the last one.
    """
    for number in range(count):
        captured = EventMillis(newest - (count - 1 - number) * _STEP)
        frame = CapturedFrame(_key(number), _picture(number), captured, "image/jpeg")
        sent = wire.render_frame(topic, frame)
        yield OutboundRecord(sent.topic, number % PARTITIONS, sent.key, sent.value, sent.headers)


def expected_names(model: Manifest, count: int) -> Names:
    """Return what torchvision's own decoding, transforms and network answer, one picture at a time.

    Args:
        model: a MobileNetV2 with torchvision's published weights.
        count: number of frames.
    """
    different = min(count, sum(map(len, pictures(USUAL))))
    loop = torchvision_loop(
        (
            CapturedFrame("camera", _picture(number), EventMillis(0), "image/jpeg", frame_id=str(number))
            for number in range(different)
        ),
        model.file,
    )
    return {_key(number).encode(): model.labels[loop[str(number % different)][0]] for number in range(count)}


def names_of(results: Iterable[Record]) -> Sequence[tuple[bytes, str]]:
    """Return key and most likely class of each result, in the order of the records."""
    return [(each.key or b"", json.loads(each.value or b"")["classes"][0]["name"]) for each in results]


def compare(expected: Names, found: Sequence[tuple[bytes, str]]) -> Found:
    """Compare a contestant's answers with the expected ones."""
    wrong = {key for key, name in found if expected.get(key) != name}
    answered = {key for key, _ in found}
    return Found(len(expected), len(answered - wrong), len(found) - len(answered))


def _key(number: int) -> str:
    return f"frame-{number:05}"


def _picture(number: int) -> bytes:
    cameras = pictures(USUAL)
    return cameras[number % CAMERAS][number // CAMERAS % len(cameras[0])]
