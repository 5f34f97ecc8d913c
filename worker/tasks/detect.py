"""Which objects are in a picture, and where; compared with the true boxes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays
from worker.domain.boxes import Box, TrueBox, match
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import BoxVerdict, Detected, Detections, HitCounts
from worker.ports import Asked
from worker.tasks.class_names import ClassNames

OUTPUTS: Final = ("boxes", "scores", "labels", "total")
"""What the graph's head puts out for a batch:

- boxes: (batch, most, 4), left, top, right and bottom in pixels of the input.
- scores: (batch, most), from 0 to 1, by falling score; 0 where there is no box.
- labels: (batch, most), integers, the classes.
- total: (batch,), the sum of all that the network returned for a picture: not finite if any of it is not.
"""


class Detect:
    """Implements `ports.Task` for networks that find objects.

    Args:
        labels: class names by index; the first is that of the background, which no box has.
        threshold: from which score on a box is reported.
        most: the most boxes of a picture that are reported, those with the highest scores.

    Attributes:
        labels: as above.
        threshold: as above.
        most: as above.
    """

    name = "detect"

    def __init__(self, labels: Sequence[str], *, threshold: float, most: int) -> None:
        self.labels = tuple(labels)
        self.threshold = threshold
        self.most = most
        self._names = ClassNames(self.labels)

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the boxes.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many pictures were given to the model.

        Returns:
            `boxes`, (samples, most, 4), float32; `scores`, (samples, most), float32; `labels`, (samples, most), intp.

        Raises:
            ModelContractBroken: it answers for another number of pictures, or with classes that it does not have.
        """
        scores, labels = outputs["scores"], outputs["labels"]
        if len(scores) != samples:
            raise ModelContractBroken(f"the network answered for {len(scores)} of {samples} pictures")
        if not np.isfinite(outputs["total"]).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        found = labels[scores > 0]
        if found.min(initial=1) < 1 or found.max(initial=1) >= len(self.labels):
            raise ModelContractBroken(
                f"the network found objects of the classes {found.min()} to {found.max()}, but its manifest has the "
                f"classes 1 to {len(self.labels) - 1}, and labels[0] is the background: do its labels belong to its "
                "weights?"
            )
        return {
            "boxes": outputs["boxes"].astype(np.float32, copy=False),
            "scores": scores.astype(np.float32, copy=False),
            "labels": labels.astype(np.intp, copy=False),
        }

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Detections]]:
        """Say what is in each picture, in pixels of the picture as it was sent.

        Boxes are clipped to the picture. What is left out entirely, such as a box in the padding, is no object.
        """
        rows = zip(outputs["boxes"], outputs["scores"], outputs["labels"], asked, strict=True)
        return [
            [Detections(self._found(boxes, scores, labels, each.geometry))] * len(each.places)
            for boxes, scores, labels, each in rows
        ]

    def judge(self, result: Detections, truth: GroundTruth) -> BoxVerdict | None:
        """Compare the boxes with the true ones, as of `match`; None if those are not known."""
        if truth.boxes is None:
            return None
        chosen = self.choose(result.boxes, truth.boxes)
        hits = len(chosen) - chosen.count(None)
        unknown = dict.fromkeys(each.label for each in truth.boxes if not self._names.indices(each.label))
        return BoxVerdict(HitCounts(hits, len(truth.boxes) - hits, chosen.count(None)), tuple(unknown))

    def choose(self, found: Sequence[Detected], truth: Sequence[TrueBox]) -> list[int | None]:
        """Return which true box each found one has found, as of `match`; None of a false alarm."""
        classes = [self._names.indices(each.label) for each in truth]
        return match(
            [each.box for each in found],
            lambda place, true: found[place].index in classes[true],
            [each.box for each in truth],
        )

    def _found(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.intp], geometry: Geometry
    ) -> tuple[Detected, ...]:
        there = scores > 0
        rows = zip(boxes[there].tolist(), scores[there].tolist(), labels[there].tolist(), strict=True)
        found = [
            Detected(index, self.labels[index], score, geometry.box_in_picture(Box(*box))) for box, score, index in rows
        ]
        return tuple(each for each in found if each.box.area > 0)
