"""Which class a picture shows: the most likely ones, compared with the label."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.preprocessing import Output
from worker.domain.results import Classification, Verdict
from worker.ports import Asked
from worker.tasks.class_names import ClassNames

TOP5: Final = 5
OUTPUTS: Final = ("indices", "probabilities", "total", "least")
"""What the graph's head puts out for a batch:

- indices: (batch, k), integers, the classes of the k highest scores, by falling score.
- probabilities: (batch, k), theirs.
- total: (batch,), the sum of all scores of a picture: not finite if any of them is not.
- least: (batch,), the lowest score.
"""

_SUM_TOLERANCE: Final = 1e-2


class Classify:
    """Implements `ports.Task` for networks with a score for each class.

    Args:
        labels: class names by index; a name may occur twice.
        output: what the network returns. The manifest says it, it is never guessed.
        top_k: how many classes a prediction names, at least 1.
        threshold: of the output `sigmoid`, which is one score for two classes: from which probability on the picture
            is of the second one.

    Attributes:
        labels: as above.
        output: as above.
        kept: classes that the graph's head ranks: enough for the prediction and for the five that are compared with a
            label.
    """

    name: str = "classify"

    def __init__(self, labels: Sequence[str], *, output: Output, top_k: int, threshold: float = 0.5) -> None:
        self.labels = tuple(labels)
        self.output = output
        self.kept = min(max(top_k, TOP5), len(self.labels))
        self._names = ClassNames(self.labels)
        self._top_k = top_k
        self._threshold = threshold if output == "sigmoid" else None

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the ranks, most likely first; of equally likely classes the lower index comes first.

        Of one score for two classes, the one that the threshold decides for comes first.

        Which of several equals are the last that fit into k is the engine's choice: ONNX Runtime on a CPU takes the
        lowest, torch and OpenVINO any.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many were given to the model.

        Returns:
            `indices`, (samples, k), intp, and `probabilities`, (samples, k), float32.

        Raises:
            ModelContractBroken: it answers for another number of samples, or its scores are not what they are said
                to be.
        """
        indices, probabilities = outputs["indices"], outputs["probabilities"]
        if len(indices) != samples:
            raise ModelContractBroken(f"the network answered for {len(indices)} of {samples} pictures")
        if not np.isfinite(outputs["total"]).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        if self.output == "probabilities" and (
            outputs["least"].min(initial=0) < 0 or np.abs(outputs["total"] - 1).max(initial=0) > _SUM_TOLERANCE
        ):
            raise ModelContractBroken(
                "the network's rows are no probabilities; say output: logits, or sigmoid for one score, in its manifest"
            )
        ranked = probabilities if self._threshold is None else _decided(indices, probabilities >= self._threshold)
        order = np.lexsort((indices, -ranked))
        return {
            "indices": np.take_along_axis(indices, order, axis=1).astype(np.intp, copy=False),
            "probabilities": np.take_along_axis(probabilities, order, axis=1).astype(np.float32, copy=False),
        }

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Classification]]:
        """Name the most likely classes of each sample; where in the picture they are, nobody knows."""
        return [[found] * len(each.places) for found, each in zip(self.named(outputs), asked, strict=True)]

    def named(self, outputs: Arrays) -> list[Classification]:
        """Name the most likely classes of each row that `check` returned."""
        rows, most = zip(outputs["indices"].tolist(), outputs["probabilities"].tolist(), strict=True), self._top_k
        return [
            Classification(self._names.scored(indices[:most], probabilities[:most]), tuple(indices[:TOP5]))
            for indices, probabilities in rows
        ]

    def judge(self, result: Classification, truth: GroundTruth) -> Verdict | None:
        """Compare the five most likely classes with a label; None if there is none or it names no class."""
        label = truth.label
        right = self._names.indices(label) if label is not None else frozenset()
        if not right:
            return None
        return Verdict(top1=result.ranking[0] in right, top5=not right.isdisjoint(result.ranking))


def _decided(indices: NDArray[np.intp], reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values that rank the second of two classes first where its probability reaches the threshold."""
    return np.where(indices == 1, reached, 0.5)
