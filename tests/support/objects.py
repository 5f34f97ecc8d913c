"""Scenes with boxes: cut-outs of photographs, pasted on other photographs. The scenes are made, the pixels are real.

There are few photographs, so an object is always a cut-out of the same one. What is new in a scene to test with is its
background, and where and how large the objects are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.motions import photograph
from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.media.folder import write_recording
from worker.media.jpeg import JpegEncoder

Pixels = NDArray[np.uint8]

SIDE: Final = 320
BACKGROUNDS: Final = ("brick", "china", "grass", "gravel", "hubble_deep_field", "ihc", "page", "text")
"""Photographs to learn on; each is a camera."""
UNSEEN: Final = ("coins", "flower", "motorcycle_left")
"""Photographs to test on."""


class _Cut(NamedTuple):
    """Where an object is in its photograph."""

    photograph: str
    box: tuple[int, int, int, int]


OBJECTS: Final = {
    "cat": _Cut("chelsea", (125, 20, 310, 215)),
    "cup": _Cut("coffee", (150, 40, 440, 330)),
    "rocket": _Cut("rocket", (270, 90, 370, 320)),
}
"""Cut-outs as ellipses."""
_SIZES: Final = (0.25, 0.5)
"""Longer side of an object, as a share of the scene's."""


def write_scenes(folder: Path, backgrounds: tuple[str, ...], *, each: int, seed: int = 0) -> Path:
    """Write scenes as a folder with a frames.csv that has boxes.

    Args:
        folder: is created.
        backgrounds: names of photographs; each is a camera.
        each: how many scenes a camera shows.
        seed: of all that is random.
    """
    write_recording(folder, (frame for name in backgrounds for frame in _camera(name, each, seed)))
    return folder


def _camera(name: str, each: int, seed: int) -> Iterator[CapturedFrame]:
    background = photograph(name)
    cuts = {label: _cut(found) for label, found in OBJECTS.items()}
    rng = np.random.default_rng([seed, *name.encode()])
    encode = JpegEncoder()
    for number in range(each):
        scene, boxes = _part(background, rng), list[TrueBox]()
        for label in rng.permutation(list(OBJECTS))[: rng.integers(0, 4)]:
            box = _paste(scene, *cuts[str(label)], boxes, rng)
            if box is not None:
                boxes.append(TrueBox(str(label), box))
        bgr = cv2.cvtColor(scene, cv2.COLOR_RGB2BGR)
        yield CapturedFrame(name, encode(bgr), EventMillis(number * 100), "image/jpeg", boxes=tuple(boxes))


def _cut(cut: _Cut) -> tuple[Pixels, Pixels]:
    """Return an object's pixels, and how much of each is the object, 0 to 255."""
    left, top, right, bottom = cut.box
    pixels = photograph(cut.photograph)[top:bottom, left:right]
    mask = np.zeros(pixels.shape[:2], np.uint8)
    high, wide = pixels.shape[:2]
    cv2.ellipse(mask, (wide // 2, high // 2), (wide // 2, high // 2), 0, 0, 360, 255, -1)
    return pixels, mask


def _part(background: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a random square of a photograph, brighter or darker."""
    height, width = background.shape[:2]
    side = int(min(height, width) * rng.uniform(0.6, 1.0))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    square = cv2.resize(background[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.convertScaleAbs(square, alpha=float(rng.uniform(0.7, 1.2))).astype(np.uint8, copy=False)


def _paste(scene: Pixels, pixels: Pixels, mask: Pixels, there: list[TrueBox], rng: np.random.Generator) -> Box | None:
    """Put an object where no other is; return its box, or None if there was no room."""
    scale = SIDE * float(rng.uniform(*_SIZES)) / max(mask.shape)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)[..., None] / 255
    light = float(rng.uniform(0.8, 1.2))
    for _ in range(20):
        left, top = (int(rng.integers(0, SIDE - side + 1)) for side in size)
        box = Box(left, top, left + size[0], top + size[1])
        if any(_touch(box, each.box) for each in there):
            continue
        place = scene[top : top + size[1], left : left + size[0]]
        place[:] = np.clip(small * light * share + place * (1 - share), 0, 255).astype(np.uint8)
        return box
    return None


def _touch(one: Box, other: Box) -> bool:
    across = min(one.right, other.right) > max(one.left, other.left)
    return across and min(one.bottom, other.bottom) > max(one.top, other.top)
