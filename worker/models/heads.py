"""Heads of the graph: what is done with a network's scores on the device, so that little comes back. One for each task.

A head names its outputs, which its task in `worker/tasks` reads by these names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import nn
from torch.nn.functional import pad

from worker.domain.errors import ModelContractBroken
from worker.tasks import classify, detect, embed, frame_values, multi_label, recurrent, segment
from worker.tasks.classify import Classify
from worker.tasks.clip import ClassifyClip
from worker.tasks.detect import Detect
from worker.tasks.embed import Embed
from worker.tasks.frame_values import FrameValues
from worker.tasks.multi_label import MultiLabel
from worker.tasks.recurrent import Recurrent
from worker.tasks.segment import Segment

Tensors = tuple[torch.Tensor, ...]
_TWO: Final = 2


class Head(nn.Module):
    """Takes what the network returns for a batch, and the shape of that batch, as `ModelGraph` takes it.

    Attributes:
        outputs: the names of what it puts out, in order.
    """

    outputs: tuple[str, ...]


class ClassifyHead(Head):
    """Ranks the classes. Logits are ranked as they are: unlike their probabilities, they hardly ever tie.

    One score for two classes is the logit of the second, of which that of the first is 0: the softmax of both is the
    sigmoid of the score.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch or the labels.
    """

    outputs = classify.OUTPUTS

    def __init__(self, task: Classify) -> None:
        super().__init__()
        self._output = task.output
        self._classes, self._kept = len(task.labels), task.kept

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, classes), or one score for two classes, and return `worker.tasks.classify.OUTPUTS`."""
        scores = self._scores(found, batch[0]).float()
        best, indices = torch.topk(scores, self._kept, dim=1)
        if self._output != "probabilities":
            # Softmax, of the best alone.
            highest = best[:, :1]
            best = torch.exp(best - highest) / torch.exp(scores - highest).sum(dim=1, keepdim=True)
        return indices, best, scores.sum(dim=1), scores.amin(dim=1)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"output={self._output}, classes={self._classes}, kept={self._kept}"

    def _scores(self, found: object, pictures: int) -> torch.Tensor:
        """Return the scores of all classes."""
        if self._output == "sigmoid":
            return pad(_column(found, pictures), (1, 0))
        if self._classes == _TWO and isinstance(found, torch.Tensor) and _is_column(found, pictures):
            if self._output == "logits":
                raise ModelContractBroken(
                    f"the network returned {tuple(found.shape)}, one score for two labels: say output: sigmoid in its "
                    "manifest"
                )
            second = _column(found, pictures)
            return torch.cat([1 - second, second], dim=1)
        return _checked(found, (pictures, self._classes), "do its labels belong to its weights?")


class MultiLabelHead(Head):
    """Gives each class a probability of its own.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch or the labels.
    """

    outputs = multi_label.OUTPUTS

    def __init__(self, task: MultiLabel) -> None:
        super().__init__()
        self._output, self._classes = task.output, len(task.labels)

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, classes), and return `worker.tasks.multi_label.OUTPUTS`."""
        scores = _checked(found, (batch[0], self._classes), "do its labels belong to its weights?").float()
        return torch.sigmoid(scores) if self._output == "sigmoid" else scores, scores.sum(dim=1)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"output={self._output}, classes={self._classes}"


class FrameValuesHead(Head):
    """Makes values from 0 to 1 of a network's logits, unless they are already.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch.
    """

    outputs = frame_values.OUTPUTS

    def __init__(self, task: FrameValues) -> None:
        super().__init__()
        self._logits = task.output != "probabilities"

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, frames), and return `worker.tasks.frame_values.OUTPUTS`."""
        scores = _checked(found, (batch[0], batch[1]), "task frame_values needs a value for each frame").float()
        return torch.sigmoid(scores) if self._logits else scores, scores.sum(dim=1)

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"logits={self._logits}"


class DetectHead(Head):
    """Keeps the boxes with the highest scores, in arrays of one size: pictures have different numbers of boxes.

    Raises:
        ModelContractBroken: when it runs, if the network's output is neither that of torchvision's detectors nor a
            tuple (boxes, scores, labels).
    """

    outputs = detect.OUTPUTS

    def __init__(self, task: Detect) -> None:
        super().__init__()
        self._threshold, self._most = task.threshold, task.most

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take boxes (batch, n, 4), scores and labels (batch, n), or a dict of each picture; return its outputs."""
        boxes, scores, labels = _boxes(found, batch[0])
        total = scores.float().sum(dim=1) + boxes.float().sum(dim=(1, 2))
        there = torch.where(scores >= self._threshold, scores, 0.0)
        best, order = torch.topk(there, min(self._most, there.shape[1]), dim=1)
        missing = self._most - best.shape[1]
        kept = torch.gather(boxes, 1, order[:, :, None].expand(-1, -1, 4))
        return (
            pad(kept.float(), (0, 0, 0, missing)),
            pad(best.float(), (0, missing)),
            pad(torch.gather(labels, 1, order), (0, missing)),
            total,
        )

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"threshold={self._threshold}, most={self._most}"


class SegmentHead(Head):
    """Chooses the class with the highest score at each place: of all scores, a byte a place comes back.

    Raises:
        ModelContractBroken: when it runs, if the network's output does not fit the batch or the labels.
    """

    outputs = segment.OUTPUTS

    def __init__(self, task: Segment) -> None:
        super().__init__()
        self._classes = len(task.labels)

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, classes, h, w), or a dict with it as `out`, and return `worker.tasks.segment.OUTPUTS`."""
        scores = found.get("out") if isinstance(found, Mapping) else found
        if not isinstance(scores, torch.Tensor):
            raise ModelContractBroken(f"the network returned a {type(found).__name__}, not a tensor of four dimensions")
        if scores.dim() != 4 or scores.shape[:2] != (batch[0], self._classes):
            raise ModelContractBroken(
                f"the network returned {tuple(scores.shape)}, not {(batch[0], self._classes)} and a height and a "
                "width: do its labels belong to its weights?"
            )
        best, classes = scores.float().max(dim=1)
        return classes.to(torch.uint8), best.sum(dim=(1, 2))

    def extra_repr(self) -> str:
        """Say all that the head depends on; converted graphs are kept by it."""
        return f"classes={self._classes}"


class EmbedHead(Head):
    """Passes vectors on.

    Raises:
        ModelContractBroken: when it runs, if the network's output is no vector for each picture.
    """

    outputs = embed.OUTPUTS

    def __init__(self, _: Embed) -> None:
        super().__init__()

    def forward(self, found: object, batch: Sequence[int]) -> Tensors:
        """Take (batch, n), and return it as float32."""
        if not isinstance(found, torch.Tensor):
            raise ModelContractBroken(f"the network returned a {type(found).__name__}, not a tensor ({batch[0]}, n)")
        if found.dim() != 2 or found.shape[0] != batch[0]:
            raise ModelContractBroken(f"the network returned {tuple(found.shape)}, not ({batch[0]}, n)")
        return (found.float(),)


def _boxes(found: object, pictures: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes, scores and labels of a batch; pictures with fewer boxes get some with the score 0.

    Args:
        found: what the network returned: torchvision's detectors a dict for each picture, programs three tensors.
        pictures: in the batch.
    """
    match found:
        case [{"boxes": _, "scores": _, "labels": _}, *_] if isinstance(found, list) and len(found) == pictures:
            per_picture = found
            boxes, scores, labels = (
                nn.utils.rnn.pad_sequence([each[name] for each in per_picture], batch_first=True)
                for name in ("boxes", "scores", "labels")
            )
            # Two kinds of them have a score for the background too, which training has not told from noise.
            scores = torch.where(labels > 0, scores, 0.0)
        case (torch.Tensor() as boxes, torch.Tensor() as scores, torch.Tensor() as labels):
            pass
        case _:
            raise ModelContractBroken(
                f"the network returned a {type(found).__name__}, not a tuple of three tensors: boxes (batch, n, 4), "
                "scores (batch, n) and labels (batch, n)"
            )
    if boxes.dim() != 3 or boxes.shape != (pictures, boxes.shape[1], 4):
        raise ModelContractBroken(f"the network returned boxes of shape {tuple(boxes.shape)}, not ({pictures}, n, 4)")
    if not scores.shape == labels.shape == boxes.shape[:2]:
        shapes = f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)}"
        raise ModelContractBroken(f"the network returned {shapes}, not {tuple(boxes.shape[:2])} as its boxes")
    return boxes, scores, labels.to(torch.int64)


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


def _column(found: object, pictures: int) -> torch.Tensor:
    """Return one score for each picture, (pictures, 1), of a network that returns it with or without that dimension."""
    if isinstance(found, torch.Tensor) and _is_column(found, pictures):
        return found.reshape(pictures, 1)
    return _checked(found, (pictures, 1), "with two labels, output: sigmoid is one score; for a score of each, logits")


def _is_column(found: torch.Tensor, pictures: int) -> bool:
    return tuple(found.shape) in ((pictures,), (pictures, 1))


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
    MultiLabel.name: MultiLabelHead,
    FrameValues.name: FrameValuesHead,
    Detect.name: DetectHead,
    Segment.name: SegmentHead,
    Embed.name: EmbedHead,
    Recurrent.name: FeaturesHead,
}
"""By the name of the task, which it takes."""
