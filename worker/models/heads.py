"""Heads of the graph: what is done with a network's scores on the device, so that little comes back. One for each task.

A head names its outputs, which its task in `worker/tasks` reads by these names.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import nn

from worker.domain.errors import ModelContractBroken
from worker.tasks.classify import OUTPUTS, Classify

Tensors = tuple[torch.Tensor, ...]


class Head(nn.Module):
    """Takes what the network returns for a batch.

    Attributes:
        outputs: the names of what it puts out, in order.
    """

    outputs: tuple[str, ...]


class ClassifyHead(Head):
    """Ranks the classes. Logits are ranked as they are: unlike their probabilities, they hardly ever tie.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch or the labels.
    """

    outputs = OUTPUTS

    def __init__(self, task: Classify) -> None:
        super().__init__()
        self._logits = task.output == "logits"
        self._classes, self._kept = len(task.labels), task.kept

    def forward(self, found: object, batch: int) -> Tensors:
        """Take (batch, classes), and return `worker.tasks.classify.OUTPUTS`."""
        expected = (batch, self._classes)
        if not isinstance(found, torch.Tensor):
            raise ModelContractBroken(f"the network returned a {type(found).__name__}, not a tensor {expected}")
        if found.shape != expected:
            raise ModelContractBroken(
                f"the network returned {tuple(found.shape)}, not {expected}: do its labels belong to its weights?"
            )
        scores = found.float()
        best, indices = torch.topk(scores, self._kept, dim=1)
        if self._logits:
            # Softmax, of the best alone.
            highest = best[:, :1]
            best = torch.exp(best - highest) / torch.exp(scores - highest).sum(dim=1, keepdim=True)
        return indices, best, scores.sum(dim=1), scores.amin(dim=1)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"logits={self._logits}, classes={self._classes}, kept={self._kept}"


HEADS: Final[Mapping[str, Callable[..., Head]]] = {Classify.name: ClassifyHead}
"""By the name of the task, which it takes."""
