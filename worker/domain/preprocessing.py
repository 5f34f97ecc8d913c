"""How a picture becomes a model's input: the numbers that belong to a set of weights."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["bilinear", "bicubic", "nearest"]
Output = Literal["logits", "probabilities"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
MemoryFormat = Literal["channels_last", "contiguous"]

Channels = tuple[float, float, float]
"""One number each for red, green and blue."""
Sides = int | tuple[int, int]
"""Pixels: one number, or (height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Resize, centre-crop, then `(pixel / 255 - mean) / std`, as torchvision's weights do it.

    Attributes:
        resize: what the shorter side becomes, or exactly (height, width), whatever shape the picture has.
        crop: what is cut from the middle, a square or (height, width), at most `resize`.
        antialias: smooth while shrinking; means nothing for `nearest`.
        mean: per channel, from 0 to 1.
        std: per channel, above 0, at most 1.
        pad: scale the whole picture into `resize` without changing its shape, and fill the rest at the right or below
            with black (letterbox); `crop` is `resize` then.
    """

    resize: Sides
    crop: Sides
    interpolation: Interpolation
    antialias: bool
    mean: Channels
    std: Channels
    pad: bool = False

    @property
    def least_side(self) -> int:
        """What a picture's shorter side must have at least, so that no side of it is enlarged."""
        if isinstance(self.resize, int):
            return self.resize
        # A padded picture keeps its shape, and lies within `resize`.
        return min(self.resize) if self.pad else max(self.resize)

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
