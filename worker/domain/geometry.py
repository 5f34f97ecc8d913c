"""Where a point of the model's input lies in the picture as it was sent."""

from dataclasses import dataclass
from functools import lru_cache

from worker.domain.boxes import Box
from worker.domain.preprocessing import Preprocessing, Sides

Size = tuple[int, int]
"""(width, height) in pixels."""
_SIZES_KEPT = 128
"""A camera's frames have one size."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture became the model's input: scaled, then cut out or padded.

    A point is measured in pixels from the left and upper edge, so that pixel n reaches from n to n + 1.

    Attributes:
        width: of the picture as it was sent, in pixels.
        height: of the picture as it was sent, in pixels.
        scale_x: pixels of the input for each pixel of the picture, across.
        scale_y: the same, down.
        left: pixels that were cut off at the left after scaling; negative if there is padding at the left.
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

    def box_in_picture(self, box: Box) -> Box:
        """Return where a box of the input lies in the picture, clipped to the picture.

        >>> Geometry(640, 480, scale_x=0.5, scale_y=0.5, left=0, top=0).box_in_picture(Box(-1, 8, 20, 999))
        Box(left=0.0, top=16.0, right=40.0, bottom=480.0)
        """
        left, top = self.to_picture(box.left, box.top)
        right, bottom = self.to_picture(box.right, box.bottom)
        width, height = float(self.width), float(self.height)
        return Box(
            min(max(left, 0.0), width),
            min(max(top, 0.0), height),
            min(max(right, 0.0), width),
            min(max(bottom, 0.0), height),
        )

    def shown_part(self, width: int, height: int) -> Box:
        """Return which part of an input of this size shows the picture; the rest is padding.

        >>> Geometry(640, 480, scale_x=0.5, scale_y=0.5, left=0, top=0).shown_part(320, 320)
        Box(left=0.0, top=0.0, right=320.0, bottom=240.0)
        """
        left, top = self.to_input(0.0, 0.0)
        right, bottom = self.to_input(self.width, self.height)
        return Box(max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))


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


def scaled_size(size: Size, numbers: Preprocessing) -> Size:
    """Return the size that a picture is scaled to before the crop or the padding.

    With padding, one side becomes that of `resize`, and the other one is rounded down, as torchvision's detectors do.

    Args:
        size: of the picture.
        numbers: of the weights.

    >>> numbers = Preprocessing(
    ...     resize=(320, 640), crop=(320, 640), interpolation="bilinear", antialias=True,
    ...     mean=(0, 0, 0), std=(1, 1, 1), pad=True,
    ... )
    >>> scaled_size((640, 480), numbers), scaled_size((1920, 500), numbers)
    ((426, 320), (640, 166))
    """
    if not numbers.pad:
        return resized_size(size, numbers.resize)
    (width, height), (high, wide) = size, numbers.crop_size
    # In whole numbers: a product of fractions may fall below the whole number that it should be.
    if wide * height <= high * width:
        return wide, max(1, height * wide // width)
    return max(1, width * high // height), high


def cut_off(scaled: Size, numbers: Preprocessing) -> tuple[int, int]:
    """Return how many pixels of a scaled picture are cut off at its left and at its top; negative for padding there.

    The middle is where torchvision's centre crop has it.

    Args:
        scaled: the size as of `scaled_size`.
        numbers: of the weights.

    >>> numbers = Preprocessing(
    ...     resize=320, crop=320, interpolation="bilinear", antialias=True, mean=(0,), std=(1,), pad="center"
    ... )
    >>> cut_off((320, 241), numbers)
    (0, -39)
    """
    (across, down), (high, wide) = scaled, numbers.crop_size
    if numbers.pad == "center":
        return -((wide - across) // 2), -((high - down) // 2)
    return (0, 0) if numbers.pad else (round((across - wide) / 2), round((down - high) / 2))


@lru_cache(_SIZES_KEPT)
def resize_and_crop(sent: Size, decoded: Size, numbers: Preprocessing) -> Geometry:
    """Return the geometry of a picture that was resized, and whose middle was cut out, or that was padded.

    Args:
        sent: the picture's size as it was sent.
        decoded: its size as it was decoded; smaller if the decoder left part of the work undone.
        numbers: of the weights.
    """
    across, down = scaled_size(decoded, numbers)
    left, top = cut_off((across, down), numbers)
    return Geometry(*sent, scale_x=across / sent[0], scale_y=down / sent[1], left=left, top=top)
