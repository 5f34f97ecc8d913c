"""Which classes a picture shows, when it may show several or none: each class is decided on its own."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.label_lists import read_labels
from worker.domain.preprocessing import Output
from worker.domain.results import NamedVerdict, SeveralClasses
from worker.ports import Asked
from worker.tasks.class_names import ClassNames

OUTPUTS: Final = ("probabilities", "total")
"""What the graph's head puts out for a batch:

- probabilities: (batch, classes), each from 0 to 1; those of a picture need not sum up to one.
- total: (batch,), the sum of what the network returned of a picture: not finite if any of it is not.
"""


class MultiLabel:
    """Implements `ports.Task` for networks that give each class a probability of its own.

    Args:
        labels: different class names by index.
        output: what the network returns, `sigmoid` or `probabilities`. The manifest says it, it is never guessed.
        thresholds: from which probability on a class is named: one for all, or one of each class.
        top_k: how many classes a prediction lists at least, at least 1.

    Attributes:
        labels: as above.
        output: as above.
    """

    name = "multi_label"

    def __init__(
        self, labels: Sequence[str], *, output: Output, thresholds: float | Sequence[float], top_k: int
    ) -> None:
        self.labels = tuple(labels)
        self.output = output
        self._names = ClassNames(self.labels)
        self._thresholds = np.broadcast_to(np.asarray(thresholds, np.float32), len(self.labels))
        self._top_k = top_k

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the probabilities.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many pictures were given to the model.

        Returns:
            `probabilities`, (samples, classes), float32.

        Raises:
            ModelContractBroken: it answers for another number of pictures, or its scores are not what they are said
                to be.
        """
        probabilities = outputs["probabilities"].astype(np.float32, copy=False)
        if len(probabilities) != samples:
            raise ModelContractBroken(f"the network answered for {len(probabilities)} of {samples} pictures")
        if not np.isfinite(outputs["total"]).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        if probabilities.min(initial=0) < 0 or probabilities.max(initial=0) > 1:
            raise ModelContractBroken("the network's scores are no probabilities; say output: sigmoid in its manifest")
        return {"probabilities": probabilities}

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[SeveralClasses]]:
        """Name the classes of each picture; of equally likely classes the lower index comes first."""
        scores = outputs["probabilities"]
        reached, orders = scores >= self._thresholds, np.argsort(-scores, axis=1, kind="stable")
        found = zip(scores.tolist(), reached.tolist(), orders.tolist(), asked, strict=True)
        return [
            [self._result(probabilities, named, order)] * len(each.places)
            for probabilities, named, order, each in found
        ]

    def judge(self, result: SeveralClasses, truth: GroundTruth) -> NamedVerdict | None:
        """Compare the named classes with those that a label lists.

        Returns:
            None if there is no label, or if anything in it names no class of the model.
        """
        listed = read_labels(truth.label) if truth.label is not None else None
        if listed is None:
            return None
        true = [self._names.indices(each) for each in listed]
        if not all(true):
            return None
        names = {self.labels[index] for indices in true for index in indices}
        named = set(result.named)
        return NamedVerdict(
            tuple(each for each in result.named if each in names),
            tuple(sorted(names - named)),
            tuple(each for each in result.named if each not in names),
        )

    def _result(self, probabilities: list[float], named: list[bool], order: list[int]) -> SeveralClasses:
        listed = [index for rank, index in enumerate(order) if rank < self._top_k or named[index]]
        return SeveralClasses(
            self._names.scored(listed, [probabilities[index] for index in listed]),
            tuple(self.labels[index] for index in listed if named[index]),
        )
