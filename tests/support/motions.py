"""Seven camera motions over real photographs: the motion is made, the pixels are real.

No single frame tells them apart. A window moves over a photograph. Each photograph is a camera that shows one motion
after another, eight frames each, with twenty seconds of silence between them. So clips of eight frames at ten a second
are one motion each, and a recurrent model begins each one with a fresh state.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from tests.support.pictures import PNG
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.samples import Photograph, load_photograph
from worker.media.folder import write_recording

FRAMES: Final = 8
RATE: Final = 10
SIDE: Final = 48
MOTIONS: Final = ("left", "right", "up", "down", "in", "out", "turn")
UNSEEN: Final = ("camera", "coffee", "flower")
"""Photographs to test with."""
SEEN: Final = (
    "astronaut",
    "brick",
    "cell",
    "chelsea",
    "china",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
    "moon",
    "motorcycle_left",
    "page",
    "retina",
    "rocket",
    "text",
)
"""Photographs to learn from."""

_PERIOD_MS: Final = 20_800  # a multiple of a clip's 800
_JPEG: Final = frozenset({"hubble_deep_field", "retina", "rocket"})
_FROM_SKLEARN: Final = frozenset({"china", "flower"})
_SCALES: Final = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Pixels of a photograph for each of a frame."""
_ATTEMPTS: Final = 50
_LEAST_CONTRAST: Final = 40.0
"""Standard deviation of the pixels of each frame: of a smooth wall, nobody could tell how the camera moves."""


class _View(NamedTuple):
    """Where the window is: its centre in pixels of the photograph, photograph's pixels for each of its own, radians."""

    x: float
    y: float
    scale: float
    angle: float


def photograph(name: str) -> NDArray[np.uint8]:
    """Return a photograph's pixels, RGB; its package is downloaded on first use."""
    if name in _FROM_SKLEARN:
        pixels: NDArray[np.uint8] = load_sample_image(f"{name}.jpg")
        return pixels
    suffix = "jpg" if name in _JPEG else "png"
    return load_photograph(Photograph(name, f"skimage/data/{name}.{suffix}", name, seed=0))


def write_motions(folder: Path, names: tuple[str, ...], *, each: int, seed: int = 0) -> Path:
    """Write motions over photographs as a folder with a frames.csv.

    Args:
        folder: is created.
        names: of photographs; each is a camera.
        each: how often a camera shows each motion.
        seed: of all that is random.
    """
    write_recording(folder, (frame for name in names for frame in _camera(name, each, seed)))
    return folder


def _camera(name: str, each: int, seed: int) -> Iterator[CapturedFrame]:
    layers = _layers(photograph(name))
    rng = np.random.default_rng([seed, *name.encode()])
    order = rng.permutation(np.repeat(np.arange(len(MOTIONS)), each))
    for number, motion in enumerate(order):
        for index, frame in enumerate(_clip(layers, MOTIONS[motion], rng)):
            at = EventMillis(number * _PERIOD_MS + index * 1000 // RATE)
            yield CapturedFrame(name, PNG(frame), at, "image/png", label=MOTIONS[motion])


def _layers(pixels: NDArray[np.uint8]) -> dict[float, NDArray[np.uint8]]:
    """Return a photograph for each scale that leaves room to move, smoothed so that it can be shrunk by it."""
    largest = max(1.0, min(pixels.shape[:2]) / SIDE / 2.2)
    return {
        scale: cv2.GaussianBlur(pixels, (0, 0), scale / 2.5).astype(np.uint8, copy=False)
        for scale in _SCALES
        if scale <= largest
    }


def _clip(layers: dict[float, NDArray[np.uint8]], motion: str, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Return the frames of a motion over a place of the photograph that has something to see."""
    best, contrast = list[NDArray[np.uint8]](), -1.0
    for _ in range(_ATTEMPTS):
        scale = float(rng.choice(list(layers)))
        frames = [_window(layers[scale], view) for view in _path(layers[scale], scale, motion, rng)]
        if (found := min(float(frame.std()) for frame in frames)) > contrast:
            best, contrast = frames, found
        if contrast > _LEAST_CONTRAST:
            break
    return best


def _path(pixels: NDArray[np.uint8], scale: float, motion: str, rng: np.random.Generator) -> list[_View]:
    height, width = pixels.shape[:2]
    reach = SIDE * scale
    x, y = (float(rng.uniform(reach, max(reach + 1, side - reach))) for side in (width, height))
    pixels_a_frame, growth, turn = rng.uniform(3.0, 5.0), rng.uniform(1.06, 1.1), rng.uniform(0.12, 0.2)
    steps = np.arange(FRAMES) - (FRAMES - 1) / 2
    step = float(pixels_a_frame * scale)
    directions = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    across, down = directions.get(motion, (0, 0))
    zoom = {"in": -1, "out": 1}.get(motion, 0)
    turned = 1 if motion == "turn" else 0
    # The camera is mounted at any angle: a dozen photographs show few edges, but each at all angles shows many.
    start = float(rng.uniform(0, 2 * np.pi))
    ahead = (across * np.cos(start) - down * np.sin(start), across * np.sin(start) + down * np.cos(start))
    return [
        _View(
            x + float(ahead[0] * t) * step,
            y + float(ahead[1] * t) * step,
            scale * float(growth ** (zoom * t)),
            start + turned * float(turn * t),
        )
        for t in steps
    ]


def _window(pixels: NDArray[np.uint8], view: _View) -> NDArray[np.uint8]:
    cos, sin = view.scale * np.cos(view.angle), view.scale * np.sin(view.angle)
    middle = (SIDE - 1) / 2
    to_photograph = np.array(
        [[cos, -sin, view.x - middle * (cos - sin)], [sin, cos, view.y - middle * (sin + cos)]], dtype=float
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(pixels, to_photograph, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return window.astype(np.uint8, copy=False)
