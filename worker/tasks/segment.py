"""Which share of a picture each class covers, and the class of each place."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays
from worker.domain.boxes import Box
from worker.domain.errors import ModelContractBroken, ModelUnavailable
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.png import grey_png
from worker.domain.results import AreaShare, Mask, Segmentation
from worker.ports import Asked

OUTPUTS: Final = ("classes", "total")
"""What the graph's head puts out for a batch:

- classes: (batch, h, w), uint8, the class of each place, at the resolution of the network's output.
- total: (batch,), the sum of the highest scores of a picture: not finite if one of them is not.
"""

MOST_CLASSES: Final = 256
"""Indices that fit into the 8 bits of a mask's pixel."""


class Segment:
    """Implements `ports.Task` for networks that classify each place of a picture.

    Args:
        labels: class names by index; the first is that of the background.
        input_size: (height, width) of the model's input, in pixels.
        masks: whether results have masks.

    Attributes:
        labels: as above.

    Raises:
        ModelUnavailable: there are more classes than `MOST_CLASSES`.
    """

    name = "segment"

    def __init__(self, labels: Sequence[str], *, input_size: tuple[int, int], masks: bool) -> None:
        if len(labels) > MOST_CLASSES:
            raise ModelUnavailable(
                f"task segment is for at most {MOST_CLASSES} classes, because a mask has 8 bits a pixel; the manifest "
                f"has {len(labels)} labels"
            )
        self.labels = tuple(labels)
        self._input_size = input_size
        self._masks = masks

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the classes.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many pictures were given to the model.

        Returns:
            `classes`, (samples, h, w), uint8.

        Raises:
            ModelContractBroken: it answers for another number of pictures, or its scores are no numbers.
        """
        classes = outputs["classes"]
        if classes.ndim != 3 or len(classes) != samples:
            raise ModelContractBroken(
                f"the network answered {classes.shape} to {samples} pictures, not a class a place"
            )
        if not np.isfinite(outputs["total"]).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        return {"classes": classes.astype(np.uint8, copy=False)}

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Segmentation]]:
        """Count the places of each class, and write masks if they are wanted; both without the padding."""
        rows = zip(outputs["classes"], asked, strict=True)
        return [[self._result(classes, each.geometry)] * len(each.places) for classes, each in rows]

    def judge(self, result: Segmentation, truth: GroundTruth) -> None:
        """Compare nothing: neither a label nor boxes are the truth of a segmentation."""

    def _result(self, classes: NDArray[np.uint8], geometry: Geometry) -> Segmentation:
        high, wide = classes.shape
        height, width = self._input_size
        shown = geometry.shown_part(width, height)
        left, right = _whole(shown.left * wide / width, shown.right * wide / width, wide)
        top, bottom = _whole(shown.top * high / height, shown.bottom * high / height, high)
        seen = classes[top:bottom, left:right]
        counts = np.bincount(seen.ravel(), minlength=len(self.labels))
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        shares = tuple(AreaShare(i, self.labels[i], counts[i].item() / seen.size) for i in order.tolist())
        if not self._masks:
            return Segmentation(shares)
        x, y = width / wide, height / high
        covers = geometry.box_in_picture(Box(left * x, top * y, right * x, bottom * y))
        return Segmentation(shares, Mask(grey_png(seen), covers))


def _whole(start: float, end: float, size: int) -> tuple[int, int]:
    """Round a part of a dimension to whole places, at least one."""
    first = min(round(start), size - 1)
    return first, max(first + 1, min(round(end), size))
