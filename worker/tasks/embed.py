"""The vector of a picture: pictures that look alike to the network have vectors that are close."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.results import Embedding
from worker.ports import Asked

OUTPUTS: Final = ("vectors",)
"""What the graph's head puts out for a batch: vectors, (batch, n)."""


class Embed:
    """Implements `ports.Task` for networks that return a vector. It is passed on as it is, of any length."""

    name = "embed"
    labels: Sequence[str] = ()

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return the vectors.

        Args:
            outputs: of the graph's head, `OUTPUTS`.
            samples: how many pictures were given to the model.

        Returns:
            `vectors`, (samples, n), float32.

        Raises:
            ModelContractBroken: it answers for another number of pictures, or its numbers are not finite.
        """
        vectors = outputs["vectors"].astype(np.float32, copy=False)
        if vectors.ndim != 2 or len(vectors) != samples:
            raise ModelContractBroken(f"the network answered {vectors.shape} to {samples} pictures, not a vector each")
        if not np.isfinite(vectors).all():
            raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
        return {"vectors": vectors}

    def results(self, outputs: Arrays, asked: Sequence[Asked]) -> list[list[Embedding]]:
        """Return the vector of each picture."""
        rows = zip(outputs["vectors"].tolist(), asked, strict=True)
        return [[Embedding(tuple(vector))] * len(each.places) for vector, each in rows]

    def judge(self, result: Embedding, truth: GroundTruth) -> None:
        """Compare nothing: a vector is neither right nor wrong."""
