"""Heads of the graph: what is done with a network's scores on the device, so that little comes back. One for each task.

A head names its outputs, which its task in `worker/tasks` reads by these names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import nn

from worker.domain.errors import ModelContractBroken
from worker.tasks import classify, frame_values, recurrent
from worker.tasks.classify import Classify
from worker.tasks.clip import ClassifyClip
from worker.tasks.frame_values import FrameValues
from worker.tasks.recurrent import Recurrent

Tensors = tuple[torch.Tensor, ...]


class Head(nn.Module):
    """Takes what the network returns for a batch, and the shape of that batch, as `ModelGraph` takes it.

    Attributes:
        outputs: the names of what it puts out, in order.
    """

    outputs: tuple[str, ...]


class ClassifyHead(Head):
    """Ranks the classes. Logits are ranked as they are: unlike their probabilities, they hardly ever tie.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch or the labels.
    """

    outputs = classify.OUTPUTS

    def __init__(self, task: Classify) -> None:
        super().__init__()
        self._logits = task.output == "logits"
        self._classes, self._kept = len(task.labels), task.kept

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, classes), and return `worker.tasks.classify.OUTPUTS`."""
        scores = _checked(found, (batch[0], self._classes), "do its labels belong to its weights?").float()
        best, indices = torch.topk(scores, self._kept, dim=1)
        if self._logits:
            # Softmax, of the best alone.
            highest = best[:, :1]
            best = torch.exp(best - highest) / torch.exp(scores - highest).sum(dim=1, keepdim=True)
        return indices, best, scores.sum(dim=1), scores.amin(dim=1)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"logits={self._logits}, classes={self._classes}, kept={self._kept}"


class FrameValuesHead(Head):
    """Makes values from 0 to 1 of a network's logits, unless they are already.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch.
    """

    outputs = frame_values.OUTPUTS

    def __init__(self, task: FrameValues) -> None:
        super().__init__()
        self._logits = task.output == "logits"

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, frames), and return `worker.tasks.frame_values.OUTPUTS`."""
        scores = _checked(found, (batch[0], batch[1]), "task frame_values needs a value for each frame").float()
        return (torch.sigmoid(scores) if self._logits else scores,)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"logits={self._logits}"


class FeaturesHead(Head):
    """Hands on what a backbone makes of each frame, for an RNN that runs elsewhere.

    Raises:
        ModelContractBroken: when it runs, if the backbone's output is not a row for each frame.
    """

    outputs = recurrent.OUTPUTS

    def __init__(self, task: Recurrent) -> None:  # noqa: ARG002 - what is done with features does not depend on it
        super().__init__()

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, features), and return `worker.tasks.recurrent.OUTPUTS`."""
        width = found.shape[-1] if isinstance(found, torch.Tensor) and found.dim() else 0
        return (_checked(found, (batch[0], width), "task recurrent needs a row of features for each frame").float(),)


def _checked(found: object, expected: tuple[int, int], advice: str) -> torch.Tensor:
    """Return what the network returned, if it is a tensor of the expected shape."""
    if not isinstance(found, torch.Tensor):
        raise ModelContractBroken(f"the network returned a {type(found).__name__}, not a tensor {expected}")
    if found.shape != expected:
        raise ModelContractBroken(f"the network returned {tuple(found.shape)}, not {expected}: {advice}")
    return found


HEADS: Final[Mapping[str, Callable[..., Head]]] = {
    Classify.name: ClassifyHead,
    ClassifyClip.name: ClassifyHead,
    FrameValues.name: FrameValuesHead,
    Recurrent.name: FeaturesHead,
}
"""By the name of the task, which it takes."""
