"""Which class a camera shows, frame by frame: a frame alone gives features, and the sequence of them gives classes."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.preprocessing import Output
from worker.domain.results import Classification, Features, Verdict
from worker.ports import Asked
from worker.tasks.classify import Classify

OUTPUTS: Final = ("features",)
"""What the graph's head puts out for a batch: features, (batch, features)."""


class Recurrent:
    """Implements `ports.Task` for networks with an RNN behind a backbone that looks at each frame alone.

    Args:
        labels: class names by index; a name may occur twice.
        output: what the RNN's classifier returns. The manifest says it, it is never guessed.
        top_k: how many classes a prediction names, at least 1.
        threshold: as of `Classify`.

    Attributes:
        labels: as above.
        scores: what is done with the scores that the RNN gives after each frame.
    """

    name = "recurrent"

    def __init__(self, labels: Sequence[str], *, output: Output, top_k: int, threshold: float = 0.5) -> None:
        self.labels = tuple(labels)
        self.scores = Classify(labels, output=output, top_k=top_k, threshold=threshold)

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the features.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many frames were given to the model.

        Returns:
            `features`, (samples, features), float32.

        Raises:
            ModelContractBroken: it answers for another number of frames, or with NaN or infinity.
        """
        features = outputs["features"].astype(np.float32, copy=False)
        if features.ndim != 2 or len(features) != samples:
            raise ModelContractBroken(f"the network answered {features.shape} to {samples} frames, not a row for each")
        if not np.isfinite(features).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        return {"features": features}

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Features]]:
        """Give each frame its features; the classes follow once the frames before it are through the RNN."""
        rows = zip(outputs["features"], asked, strict=True)
        return [[Features(row)] * len(each.places) for row, each in rows]

    def judge(self, result: Any, truth: GroundTruth) -> Verdict | None:
        """Compare the classes after a frame with its label; None for a frame's features, which say nothing yet."""
        return self.scores.judge(result, truth) if isinstance(result, Classification) else None
