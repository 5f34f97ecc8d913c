"""How much of an event each frame of a clip has, and with which frame the event begins."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.preprocessing import Output
from worker.domain.results import FrameValue, Verdict
from worker.ports import Asked
from worker.tasks.class_names import ClassNames

OUTPUTS: Final = ("values", "total")
"""What the graph's head puts out for a batch:

- values: (batch, frames), from 0 to 1.
- total: (batch,), the sum of what the network returned of a clip: not finite if any of it is not.
"""


class FrameValues:
    """Implements `ports.Task` for networks with a value for each frame of a clip.

    Args:
        labels: the name of what there is without the event, and the event's.
        output: what the network returns. The manifest says it, it is never guessed.
        threshold: from which value on there is the event.

    Attributes:
        labels: as above.
        output: as above.
    """

    name = "frame_values"

    def __init__(self, labels: Sequence[str], *, output: Output, threshold: float) -> None:
        self.labels = tuple(labels)
        self.output = output
        self._names = ClassNames(self.labels)
        self._threshold = threshold

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the values.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many clips were given to the model.

        Returns:
            `values`, (samples, frames), float32.

        Raises:
            ModelContractBroken: it answers for another number of clips, or its values are not what they are said to be.
        """
        values = outputs["values"].astype(np.float32, copy=False)
        if values.ndim != 2 or len(values) != samples:
            raise ModelContractBroken(f"the network answered {values.shape} to {samples} clips, not a value a frame")
        if not np.isfinite(outputs["total"]).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        if values.min(initial=0) < 0 or values.max(initial=0) > 1:
            raise ModelContractBroken("the network's values are no probabilities; say output: logits in its manifest")
        return {"values": values}

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[FrameValue]]:
        """Give each place that is asked for its value.

        The event begins with a frame whose value reaches the threshold, where that of the place before does not. Both
        are values of the same clip, so the frame before needs no answer of its own. Nothing is known before the first
        place, and the event begins there.
        """
        rows = zip(outputs["values"].tolist(), asked, strict=True)
        return [[self._result(values, place) for place in each.places] for values, each in rows]

    def judge(self, result: FrameValue, truth: GroundTruth) -> Verdict | None:
        """Compare whether there is the event with a label; None if there is none, or it is neither name."""
        label = truth.label
        right = self._names.indices(label) if label is not None else frozenset()
        if not right:
            return None
        agrees = self._above(result.value) in right
        return Verdict(top1=agrees, top5=agrees)

    def _result(self, values: Sequence[float], place: int) -> FrameValue:
        value = values[place]
        above = self._above(value)
        begins = above and not (place and self._above(values[place - 1]))
        return FrameValue(
            value=value,
            threshold=self._threshold,
            event=self.labels[1] if begins else None,
            above=self.labels[above],
        )

    def _above(self, value: float) -> int:
        return int(value >= self._threshold)
