"""A classifier that is easy to verify: it names the closest of five colours."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import PNG
from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken, ModelFailed, ModelOutOfMemory
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.parts import cut
from worker.domain.pictures import PictureRules
from worker.domain.results import ModelIdentity
from worker.media.images import decode_image
from worker.tasks.classify import Classify

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


def decode_colour(frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
    """Implements `ports.Decode` for the model below: computes the mean of a picture of at most 10,000 pixels."""
    image = decode_image(frame, PictureRules())
    out[:] = image.pixels.mean(axis=(0, 1), keepdims=True).round().astype(np.uint8)
    width, height = image.size
    return Geometry(width, height, scale_x=1 / width, scale_y=1 / height, left=0, top=0)


class ColourModel:
    """Implements `ports.Model`. The probability of a colour decreases with its distance from the picture's mean.

    Args:
        fail_on_call: number of the call, from 0, whose answer is invalid.
        breaks_on: it raises if a picture of this colour is in the batch.
        hiccups: numbers of the calls, from 0, on which it raises independently of the frames.
        room: maximum number of frames that fit into memory.
        largest: frames in a part.
        streams: number of parallel parts; it does not affect how a batch is cut.
        top_k: number of classes that a prediction names.
    """

    identity = ModelIdentity("colours", "c0105c010500")
    input_shape: tuple[int, ...] = (1, 1, 3)
    frame_shape = (1, 1, 3)

    def __init__(
        self,
        *,
        fail_on_call: int | None = None,
        breaks_on: str | None = None,
        hiccups: Collection[int] = (),
        room: int = 1_000,
        largest: int | None = None,
        streams: int = 1,
        top_k: int = 3,
    ) -> None:
        self.task = Classify(tuple(COLOURS), output="probabilities", top_k=top_k)
        self.streams = streams
        self.calls: list[int] = []
        self._fail_on_call = fail_on_call
        self._poison = None if breaks_on is None else COLOURS[breaks_on]
        self._hiccups = hiccups
        self._room = room
        self._largest = largest

    def parts(self, frames: int) -> Sequence[slice]:
        return cut(frames, threads=1, largest=self._largest)

    def run(self, pixels: NDArray[np.uint8]) -> Arrays:
        number = len(self.calls)
        self.calls.append(len(pixels))
        if number == self._fail_on_call:
            raise ModelContractBroken("told to fail")
        if len(pixels) > self._room:
            raise ModelOutOfMemory(f"no room for {len(pixels)}")
        if number in self._hiccups or any(tuple(each[0, 0]) == self._poison for each in pixels):
            raise ModelFailed("told to raise")
        distance = np.linalg.norm(pixels.reshape(-1, 1, 3) - np.array(list(COLOURS.values()), np.float32), axis=2)
        weights = np.exp(-distance / 64)
        shares = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        order = np.argsort(-shares, axis=1, kind="stable")
        return {"indices": order, "probabilities": np.take_along_axis(shares, order, axis=1)}


def picture(colour: str) -> bytes:
    """Return an 8x8 PNG of one colour."""
    return PNG(np.full((8, 8, 3), COLOURS[colour], np.uint8))
