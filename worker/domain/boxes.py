"""Boxes in pictures: where something is, how much two of them agree, and how a producer writes them as ground truth."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

_FORM: Final = 'it must be a JSON list such as [{"label": "cup", "box": [left, top, right, bottom]}]'


ENOUGH: Final = 0.5
"""The intersection over union from which on a box is a true box: that of PASCAL VOC, and the lowest one of COCO."""


class Box(NamedTuple):
    """A rectangle, in pixels of the picture as it was sent, from its left and upper edge.

    Pixel n reaches from n to n + 1, so a box around one pixel is 1 wide.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Its square pixels; 0 if it has no inside."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


class TrueBox(NamedTuple):
    """The ground truth of one object: its class and where it is."""

    label: str
    box: Box


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes, from 0 to 1.

    >>> overlap(Box(0, 0, 2, 2), Box(1, 0, 3, 2))
    0.3333333333333333
    """
    shared = Box(
        max(one.left, other.left),
        max(one.top, other.top),
        min(one.right, other.right),
        min(one.bottom, other.bottom),
    ).area
    union = one.area + other.area - shared
    return shared / union if union else 0.0


def match(found: Sequence[Box], fits: Callable[[int, int], bool], truth: Sequence[Box]) -> list[int | None]:
    """Return the true box that each found one has found; None of one that is a false alarm.

    The found boxes choose in turn: each takes the true box that it overlaps most, of those that fit and are left, if
    their intersection over union is at least `ENOUGH`. So do PASCAL VOC and COCO, by falling score.

    Args:
        found: in the order in which they choose.
        fits: tells of a found and a true box, by their places, whether they may be of one class.
        truth: the true boxes.
    """
    left, chosen = set(range(len(truth))), list[int | None]()
    for place, box in enumerate(found):
        overlaps = [(overlap(box, truth[each]), -each) for each in left if fits(place, each)]
        best, number = max(overlaps, default=(0.0, 0))
        chosen.append(-number if best >= ENOUGH else None)
        left.discard(-number if best >= ENOUGH else -1)
    return chosen


def read_boxes(text: str | bytes) -> tuple[TrueBox, ...]:
    """Read the boxes of a picture from JSON; an empty list says that there is nothing in it.

    >>> read_boxes('[{"label": "cup", "box": [1, 2, 3, 4.5]}]')
    (TrueBox(label='cup', box=Box(left=1.0, top=2.0, right=3.0, bottom=4.5)),)

    Raises:
        ValueError: it is no list of boxes, or a box has no inside; says what to do.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_FORM}: {error}") from error
    match found:
        case list(boxes):
            return tuple(_read_box(number, each) for number, each in enumerate(boxes, 1))
    raise ValueError(_FORM)


def write_boxes(boxes: Iterable[TrueBox]) -> str:
    """Write boxes as `read_boxes` reads them.

    >>> write_boxes([TrueBox("cup", Box(1, 2, 3, 4.5))])
    '[{"label": "cup", "box": [1, 2, 3, 4.5]}]'
    """
    return json.dumps([{"label": each.label, "box": each.box} for each in boxes], ensure_ascii=False)


def _read_box(number: int, found: object) -> TrueBox:
    match found:
        case {"label": str(label), "box": [_, _, _, _] as sides, **others} if label and not others:
            if not all(isinstance(side, int | float) and not isinstance(side, bool) for side in sides):
                raise ValueError(f"box {number}: {_FORM}")
            box = Box(*map(float, sides))
            if not all(map(math.isfinite, box)) or not box.area > 0:
                raise ValueError(f"box {number} is {sides}: right must be above left, and bottom above top")
            return TrueBox(label, box)
    raise ValueError(f"box {number}: {_FORM}")
