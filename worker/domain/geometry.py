"""Where a point of the model's input lies in the picture as it was sent."""

from dataclasses import dataclass
from functools import lru_cache

from worker.domain.preprocessing import Preprocessing, Sides

Size = tuple[int, int]
"""(width, height) in pixels."""
_SIZES_KEPT = 128
"""A camera's frames have one size."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture became the model's input: scaled, then cut out.

    A point is measured in pixels from the left and upper edge, so that pixel n reaches from n to n + 1.

    Attributes:
        width: of the picture as it was sent, in pixels.
        height: of the picture as it was sent, in pixels.
        scale_x: pixels of the input for each pixel of the picture, across.
        scale_y: the same, down.
        left: pixels that were cut off at the left after scaling; below 0 where the picture was padded.
        top: the same, above.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the input lies in the picture.

        >>> Geometry(640, 480, scale_x=0.5, scale_y=0.5, left=40, top=8).to_picture(0.0, 0.0)
        (80.0, 16.0)
        """
        return (x + self.left) / self.scale_x, (y + self.top) / self.scale_y

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the picture lies in the input; outside of it if it was cut off.

        >>> Geometry(640, 480, scale_x=0.5, scale_y=0.5, left=40, top=8).to_input(80.0, 16.0)
        (0.0, 0.0)
        """
        return x * self.scale_x - self.left, y * self.scale_y - self.top


def resized_size(size: Size, resize: Sides) -> Size:
    """Return the size after a resize, as torchvision rounds it.

    Args:
        size: of the picture.
        resize: what its shorter side becomes, or (height, width) exactly.

    >>> resized_size((640, 480), 256)
    (341, 256)
    >>> resized_size((640, 480), (128, 171))
    (171, 128)
    """
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    short = min(width, height)
    return int(resize * width / short), int(resize * height / short)


@lru_cache(_SIZES_KEPT)
def resize_and_crop(sent: Size, decoded: Size, numbers: Preprocessing) -> Geometry:
    """Return the geometry of a picture that was resized, and whose middle was cut out.

    Args:
        sent: the picture's size as it was sent.
        decoded: its size as it was decoded; smaller if the decoder left part of the work undone.
        numbers: of the weights.
    """
    across, down = resized_size(decoded, numbers.resize)
    high, wide = numbers.crop_size
    return Geometry(
        *sent,
        scale_x=across / sent[0],
        scale_y=down / sent[1],
        left=round((across - wide) / 2),
        top=round((down - high) / 2),
    )
