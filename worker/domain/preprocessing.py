"""How a picture becomes a model's input: the numbers that belong to a set of weights."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["bilinear", "bicubic", "nearest", "nearest-exact"]
ChannelOrder = Literal["rgb", "bgr", "gray"]
Output = Literal["logits", "probabilities", "sigmoid"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
MemoryFormat = Literal["channels_last", "contiguous"]

Channels = tuple[float, ...]
"""A number for each channel, in the order in which the network takes them."""
Colour = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""
Sides = int | tuple[int, int]
"""Pixels: one number, or (height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Resize, then crop the middle or pad, choose the channels, and normalise, as torchvision's transforms do it.

    Normalised is `(pixel * max_value / 255 - mean) / std`, of pixels from 0 to 255.

    Attributes:
        resize: what the shorter side becomes, or exactly (height, width), whatever shape the picture has.
        crop: what is cut from the middle, a square or (height, width), at most `resize`.
        antialias: smooth while shrinking; means nothing for `nearest` and `nearest-exact`.
        mean: per channel, on the scale of `max_value`.
        std: per channel, above 0, on the scale of `max_value`.
        pad: scale the whole picture into `resize` without changing its shape, and fill the rest (letterbox); `crop` is
            `resize` then. The padding is at the right or below, or with `center` the picture is in the middle.
        fill: the colour of the padding.
        channels: what the network takes: red, green, blue; the reverse; or the one channel of a grey picture.
        max_value: what a white pixel is before `mean` and `std`: 1 or 255.
    """

    resize: Sides
    crop: Sides
    interpolation: Interpolation
    antialias: bool
    mean: Channels
    std: Channels
    pad: bool | Literal["center"] = False
    fill: Colour = (0, 0, 0)
    channels: ChannelOrder = "rgb"
    max_value: Literal[1, 255] = 1

    @property
    def smooths(self) -> bool:
        """Whether a picture that is shrunk is smoothed."""
        return self.antialias and self.interpolation in ("bilinear", "bicubic")

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

    @property
    def depth(self) -> int:
        """How many channels the network takes."""
        return 1 if self.channels == "gray" else 3

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared picture."""
        return (*self.crop_size, self.depth)
