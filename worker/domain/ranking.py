"""From what an engine answers to ranked classes that can be trusted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelContractBroken
from worker.domain.preprocessing import Output

_SUM_TOLERANCE: Final = 1e-2


@dataclass(frozen=True, slots=True)
class Ranked:
    """The most likely classes of each picture, most likely first.

    Of equally likely classes the lower index comes first. Which of several equals are the last that fit into k is the
    engine's choice: ONNX Runtime on a CPU takes the lowest, torch and OpenVINO any.

    Attributes:
        indices: (batch, k).
        probabilities: (batch, k), float32.
    """

    indices: NDArray[np.intp]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


class Answer(NamedTuple):
    """What an engine returns for a batch, unchecked: the k highest scores, and enough to judge all of them by.

    Attributes:
        indices: (batch, k), integers, by falling score.
        probabilities: (batch, k).
        total: (batch,), the sum of all scores of a picture: not finite if any of them is not.
        least: (batch,), the lowest score.
    """

    indices: NDArray[np.integer]
    probabilities: NDArray[np.floating]
    total: NDArray[np.floating]
    least: NDArray[np.floating]


Engine = Callable[[NDArray[np.uint8]], Answer]
"""Runs a model on RGB pictures, (batch, height, width, 3), uint8, batch at least 1; blocks, without holding the GIL.

It raises MemoryError where there was no memory for so many, and whatever it likes where it fails otherwise.
"""


def judge(answer: Answer, *, frames: int, output: Output) -> Ranked:
    """Rank what an engine answered.

    Args:
        answer: of the engine.
        frames: that it was asked about.
        output: what the scores are.

    Raises:
        ModelContractBroken: it answers for another number of frames, or its scores are not what they are said to be.
    """
    if len(answer.indices) != frames:
        raise ModelContractBroken(f"the network answered for {len(answer.indices)} of {frames} pictures")
    if not np.isfinite(answer.total).all():
        raise ModelContractBroken("the network returned NaN or infinity: are its weights damaged?")
    if output == "probabilities" and (
        answer.least.min(initial=0) < 0 or np.abs(answer.total - 1).max(initial=0) > _SUM_TOLERANCE
    ):
        raise ModelContractBroken("the network's rows are no probabilities; say output: logits in its manifest")
    order = np.lexsort((answer.indices, -answer.probabilities))
    return Ranked(
        np.take_along_axis(answer.indices, order, axis=1).astype(np.intp, copy=False),
        np.take_along_axis(answer.probabilities, order, axis=1).astype(np.float32, copy=False),
    )


def join(parts: Sequence[Ranked]) -> Ranked:
    """Put the ranks of consecutive parts of a batch together; (0, 0) without any."""
    if not parts:
        return Ranked(np.empty((0, 0), np.intp), np.empty((0, 0), np.float32))
    return Ranked(
        np.concatenate([each.indices for each in parts]), np.concatenate([each.probabilities for each in parts])
    )
