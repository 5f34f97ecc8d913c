"""A simulated camera that moves over a photograph: the motion is synthetic, the pixels are real."""

import math
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LENGTH: Final = 300
"""Frames until the camera is back at its start: 30 s at 10 frames per second."""

ZOOM: Final = (1.0, 1.7)
"""Minimum and maximum, like all values below; at 1 the photograph just fills the frame."""

ROTATION: Final = (-8.0, 8.0)
"""Rotation in degrees."""

LIGHT: Final = (0.5, 1.4)
"""Brightness: a factor for every pixel."""

BLUR: Final = (0.0, 3.0)
"""Standard deviation of a Gaussian, in pixels of the frame."""

QUALITY: Final = (30.0, 90.0)
"""JPEG quality, 1 to 100. Together, these values make classification harder but possible: see `samples.PHOTOGRAPHS`."""

_WAVES: Final = 4
_VISIBLE_BLUR: Final = 0.5


class Scene:
    """A camera that pans, zooms and rotates over a photograph while light, focus and compression change.

    Every movement is a sum of slow waves with a period of `length` frames, so that the frames can be rendered once and
    repeated without a jump. The same arguments give the same bytes on the same OpenCV build.

    Args:
        photograph: RGB, (height, width, 3), uint8; ideally about as large as the frame, and not much larger, because it
            is sampled without smoothing.
        seed: seed of the movements; each camera has its own.
        size: (width, height) of a frame in pixels.
        length: frames per round, at least 1.
        quality: minimum and maximum quality of the JPEGs.
    """

    def __init__(
        self,
        photograph: NDArray[np.uint8],
        seed: int,
        size: tuple[int, int] = (640, 480),
        *,
        length: int = LENGTH,
        quality: tuple[float, float] = QUALITY,
    ) -> None:
        self._bgr = cv2.cvtColor(photograph, cv2.COLOR_RGB2BGR)
        self._size = size
        rng = np.random.default_rng(seed)
        self._pan = [_wave(rng, length) for _ in "xy"]
        self._zoom = _between(ZOOM, _wave(rng, length))
        self._rotation = np.radians(_between(ROTATION, _wave(rng, length)))
        self._light = _between(LIGHT, _wave(rng, length))
        # Cubed, because a camera is in focus most of the time.
        self._blur = _between(BLUR, _wave(rng, length) ** 3)
        self._quality = _between(quality, _wave(rng, length)).round().astype(int)

    def __len__(self) -> int:
        return len(self._zoom)

    def frames(self) -> Iterator[bytes]:
        """Render one round as JPEGs; the last frame is followed smoothly by the first."""
        for number in range(len(self)):
            frame = cv2.warpAffine(self._bgr, self._view(number), self._size, borderMode=cv2.BORDER_REFLECT_101)
            frame = cv2.convertScaleAbs(frame, alpha=float(self._light[number]))
            if (sigma := float(self._blur[number])) > _VISIBLE_BLUR:
                kernel = 2 * math.ceil(2 * sigma) + 1
                frame = cv2.GaussianBlur(frame, (kernel, kernel), sigma)
            _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(self._quality[number])])
            yield jpeg.tobytes()

    def _view(self, number: int) -> NDArray[np.float64]:
        """Return the affine map (2, 3) from the photograph to frame `number`, in pixels."""
        height, width = self._bgr.shape[:2]
        across, down = self._size
        scale = max(across / width, down / height) * float(self._zoom[number])
        # The centre of the view stays far enough inside that a frame without rotation never leaves the photograph.
        x, y = (
            _between((seen / scale / 2, whole - seen / scale / 2), wave[number])
            for seen, whole, wave in zip(self._size, (width, height), self._pan, strict=True)
        )
        cos, sin = scale * math.cos(self._rotation[number]), scale * math.sin(self._rotation[number])
        return np.array([[cos, sin, across / 2 - cos * x - sin * y], [-sin, cos, down / 2 + sin * x - cos * y]])


def _wave(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Return a random smooth periodic curve, (length,), between 0 and 1."""
    turns = np.arange(1, _WAVES + 1)[:, None]
    phases = rng.uniform(0, 2 * math.pi, (_WAVES, 1))
    curve = (np.sin(turns * np.arange(length) * (2 * math.pi / length) + phases) / turns).sum(axis=0)
    low, span = float(curve.min()), float(np.ptp(curve))
    return np.asarray((curve - low) / (span or 1))


def _between(limits: tuple[float, float], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map values from 0..1 to the limits."""
    low, high = limits
    return low + (high - low) * share
