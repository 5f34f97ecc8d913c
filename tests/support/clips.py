"""Clips that are easy to verify: each picture's colour is the number of its frame, and the model tells what it saw.

What it should have seen is computed by `clips_by_hand` and `values_by_hand`, which look at all frames at once and know
nothing of how the worker does it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tests.support.frames import a_record
from tests.support.pictures import PNG
from worker.domain.arrays import Arrays
from worker.domain.clips import ClipShape
from worker.domain.frames import EncodedFrame, GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.pictures import PictureRules
from worker.domain.records import Record
from worker.domain.results import Classification, FrameValue, ModelIdentity, ScoredClass, Verdict
from worker.media.images import decode_image
from worker.ports import Asked

DAMAGED = b"damaged"


class Shot(NamedTuple):
    """A frame to send.

    Attributes:
        number: shown by its colour; unique.
        at: capture time, milliseconds.
    """

    number: int
    camera: str
    at: int
    label: str | None = None
    damaged: bool = False

    def at_offset(self, offset: int, partition: int = 0) -> Record:
        headers = (("label", self.label.encode()),) if self.label else ()
        value = DAMAGED if self.damaged else numbered_picture(self.number)
        key = self.camera.encode()
        return a_record(offset, partition=partition, value=value, key=key, headers=headers, timestamp=self.at)


def numbered_picture(number: int) -> bytes:
    """Return a PNG whose colour is a number below 2**24."""
    return PNG(np.full((2, 2, 3), [number >> 16 & 255, number >> 8 & 255, number & 255], np.uint8))


def decode_number(frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
    """Implements `ports.Decode`: one pixel of the picture."""
    out[:] = decode_image(frame, PictureRules()).pixels[:1, :1]
    return Geometry(2, 2, scale_x=0.5, scale_y=0.5, left=0, top=0)


class TellShown:
    """Implements `ports.Task`: a clip's classes are the numbers of the frames that were shown, in order."""

    name = "clip"
    labels = ("even", "odd")

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        assert len(outputs["shown"]) == samples
        return outputs

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Classification]]:
        return [
            [Classification(tuple(ScoredClass(n, str(n), 1.0) for n in row if n >= 0), tuple(row))] * len(each.places)
            for row, each in zip(outputs["shown"].tolist(), asked, strict=True)
        ]

    def judge(self, result: Classification, truth: GroundTruth) -> Verdict | None:
        if truth.label not in self.labels:
            return None
        right = self.labels[result.classes[-1].index % 2] == truth.label
        return Verdict(right, right)


class TellValues(TellShown):
    """Implements `ports.Task`: a frame's value depends on all that is shown with it, and on its place."""

    name = "frame_values"

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[FrameValue]]:  # type: ignore[override]
        return [
            [FrameValue(value_of(row, place), 0.5, None, "even") for place in each.places]
            for row, each in zip(outputs["shown"].tolist(), asked, strict=True)
        ]

    def judge(self, result: FrameValue, truth: GroundTruth) -> Verdict | None:  # type: ignore[override]
        return None if truth.label not in self.labels else Verdict(*(result.above == truth.label,) * 2)


def value_of(shown: Sequence[int], place: int) -> float:
    """Return the value of the frame at a place."""
    return crc32(repr((list(shown), place)).encode()) / 2**32


class ClipModel:
    """Implements `ports.Model` for clips of one-pixel pictures."""

    identity = ModelIdentity("shown", "0123456789ab")
    frame_shape = (1, 1, 3)
    streams = 1

    def __init__(self, clip: ClipShape) -> None:
        self.clip = clip
        self.input_shape: tuple[int, ...] = (clip.frames, 1, 1, 3)
        self.task = TellShown() if clip.middle is None else TellValues()
        self.calls: list[int] = []

    def parts(self, samples: int) -> Sequence[slice]:
        return [slice(0, samples)] if samples else []

    def run(self, pixels: NDArray[np.uint8]) -> Arrays:
        self.calls.append(len(pixels))
        red, green, blue = np.moveaxis(pixels[:, :, 0, 0].astype(np.int64), 2, 0)
        shown = red << 16 | green << 8 | blue
        missing = self.clip.frames - shown.shape[1]
        return {"shown": np.pad(shown, ((0, 0), (0, missing)), constant_values=-1)}  # parts are joined


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip must be: the numbers shown, and of the frame that carries the prediction."""

    camera: str
    shown: tuple[int, ...]
    first: int
    last: int
    used: int


def kept_by_hand(shots: Iterable[Shot], rate: float) -> Mapping[str, Mapping[int, Shot]]:
    """Return, for each camera, which frame fills which slot of the grid: the first that was captured in it."""
    exact, kept = Fraction(rate).limit_denominator(1000), dict[str, dict[int, Shot]]()
    for shot in sorted(shots, key=lambda each: each.at, reverse=True):
        kept.setdefault(shot.camera, {})[math.floor(Fraction(shot.at, 1000) * exact)] = shot
    return kept


def clips_by_hand(
    shots: Iterable[Shot], *, frames: int, rate: float, stride: int, gap: str = "repeat", least: int = 1
) -> list[Clip]:
    """Return the clips of all cameras, from all of their frames."""
    clips = []
    for camera, filled in kept_by_hand(shots, rate).items():
        slots = {slot: shot for slot, shot in filled.items() if not shot.damaged}
        if not slots:
            continue
        last_before: Shot | None = None
        for start in range((min(slots) // stride - frames) * stride, max(slots) + 1, stride):
            there = [slots.get(slot) for slot in range(start, start + frames)]
            found = [each for each in there if each is not None]
            if len(found) < (frames if gap == "skip" else max(least, 1)) or found[-1] == last_before:
                continue
            last_before = found[-1]
            shown = list(found)
            if gap != "shorten":
                shown = [
                    next((e for e in reversed(there[: place + 1]) if e is not None), found[0])
                    for place in range(frames)
                ]
            numbers = tuple(each.number for each in shown)
            clips.append(Clip(camera, numbers, found[0].number, found[-1].number, len(found)))
    return clips


def values_by_hand(shots: Iterable[Shot], *, frames: int, middle: int, rate: float) -> dict[int, float]:
    """Return the value of each frame by its number, from all frames of all cameras."""
    context, values = (frames - middle) // 2, dict[int, float]()
    exact = Fraction(rate / middle).limit_denominator(1000)
    by_camera: dict[str, list[Shot]] = {}
    for shot in sorted(set(shots), key=lambda each: each.at):
        by_camera.setdefault(shot.camera, []).append(shot)
    for ordered in by_camera.values():
        numbers = [each.number for each in ordered]
        padded = numbers[:1] * context + numbers + numbers[-1:] * frames
        segments = [math.floor(Fraction(each.at, 1000) * exact) for each in ordered]
        for segment in sorted(set(segments)):
            inside = [index for index, each in enumerate(segments) if each == segment]
            for first in range(0, len(inside), middle):
                chunk = inside[first : first + middle]
                real = padded[chunk[0] : chunk[-1] + 1 + 2 * context]
                shown = (real + real[-1:] * frames)[:frames]
                for place, index in enumerate(chunk):
                    values[numbers[index]] = value_of(shown, context + place)
    return values
