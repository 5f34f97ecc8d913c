"""How a picture becomes a model's input: the numbers that belong to a set of weights."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["bilinear", "bicubic", "nearest"]
Output = Literal["logits", "probabilities"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
MemoryFormat = Literal["channels_last", "contiguous"]

Channels = tuple[float, float, float]
"""One number each for red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Resize, centre-crop, then `(pixel / 255 - mean) / std`, as torchvision's weights do it.

    Attributes:
        resize: what the shorter side becomes, in pixels.
        crop: side of the square cut from the middle, in pixels, at most `resize`.
        antialias: smooth while shrinking; means nothing for `nearest`.
        mean: per channel, from 0 to 1.
        std: per channel, above 0, at most 1.
    """

    resize: int
    crop: int
    interpolation: Interpolation
    antialias: bool
    mean: Channels
    std: Channels
