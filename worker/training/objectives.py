"""What a network is trained to do: its loss on a batch, and how good it is on held-out samples. One for each task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from worker.domain.preprocessing import Preprocessing
from worker.models.cnn_rnn import CnnRnn
from worker.models.manifest import MOST_BOXES
from worker.training.batches import Batch, normalise
from worker.training.boxes import BoxFigures, Seen, box_figures
from worker.training.metrics import Answer, Figures, figures_of
from worker.training.options import Options
from worker.training.samples import UNKNOWN, Sample


@dataclass(frozen=True, slots=True)
class Measured:
    """How good a network is on held-out samples.

    Attributes:
        score: what is to be high: the accuracy, or a detector's mean average precision at an IoU of 0.5.
        loss: the mean loss; 0 for a detector, which has none without training.
        figures: in detail.
    """

    score: float
    loss: float
    figures: Figures | BoxFigures


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a batch.

    Attributes:
        loss: to be minimised.
        right: how many targets the network got right; of a detector, 0 of 0.
        total: how many targets there were.
    """

    loss: torch.Tensor
    right: int
    total: int


class Objective(Protocol):
    """What a network is trained to do."""

    score_name: str

    def loss(self, network: nn.Module, batch: Batch) -> StepLoss:
        """Return the loss of a batch, which is on the CPU."""

    def measure(self, network: nn.Module, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> Measured:
        """Look at held-out samples as the worker does, in float32, and judge the answers.

        Args:
            network: on its device.
            samples: at least one.
            pixels: as the worker prepares them, (pictures, height, width, 3), uint8.
        """


class Classes:
    """One class for a picture or a clip.

    Args:
        numbers: of the network.
        names: of the classes, by index.
        weights: a factor for each class's loss; None for none.
        device: where the network is.
    """

    score_name = "accuracy"

    def __init__(
        self,
        options: Options,
        numbers: Preprocessing,
        names: Sequence[str],
        *,
        weights: Sequence[float] | None,
        device: torch.device,
    ) -> None:
        self.numbers, self.names, self.device, self.batch = numbers, tuple(names), device, options.batch
        self.weights = None if weights is None else torch.tensor(weights, device=device)

    def loss(self, network: nn.Module, batch: Batch) -> StepLoss:
        """Take (batch, 3, height, width) or (batch, frames, 3, height, width), and (batch,)."""
        pixels, targets = (each.to(self.device) for each in batch)
        scores = _scores(network(normalise(pixels, self.numbers)))
        return self.judge(scores, targets)

    def judge(self, scores: torch.Tensor, targets: torch.Tensor) -> StepLoss:
        """Take (n, classes) and (n,)."""
        loss = functional.cross_entropy(scores.float(), targets, self.weights, ignore_index=UNKNOWN)
        right = int((scores.argmax(dim=1) == targets).sum())
        return StepLoss(loss, right, int((targets != UNKNOWN).sum()))

    def measure(self, network: nn.Module, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> Measured:
        """Count the samples whose highest score is that of their class."""
        answers, losses = list[Answer](), 0.0
        network.eval()
        with torch.inference_mode():
            for part in _parts(samples, self.batch):
                rows = [list(each.rows) for each in part]
                shown = torch.from_numpy(np.stack([pixels[each] for each in rows])).permute(0, 1, 4, 2, 3)
                if len(rows[0]) == 1:
                    shown = shown[:, 0]
                scores = _scores(network(normalise(shown.to(self.device), self.numbers))).float()
                targets = torch.tensor([each.targets[0] for each in part], device=self.device)
                losses += float(functional.cross_entropy(scores, targets, reduction="sum"))
                found = scores.argmax(dim=1).tolist()
                answers += [Answer(e.group, e.targets[0], each) for e, each in zip(part, found, strict=True)]
        return _measured(answers, losses, self.names)


class Sequences(Classes):
    """A class for each frame of a sequence, from a fresh state; the loss counts every frame.

    A stream may begin at any time, so the answers after few frames matter as those after many do.
    """

    def loss(self, network: nn.Module, batch: Batch) -> StepLoss:
        """Take (batch, frames, 3, height, width) and (batch, frames)."""
        network = cast("CnnRnn", network)  # the only architecture of this task
        pixels, targets = (each.to(self.device) for each in batch)
        features = network.features(normalise(pixels.flatten(0, 1), self.numbers))
        scores = _scores_of_frames(network, features.view(*targets.shape, -1))
        return self.judge(scores.flatten(0, 1), targets.flatten())

    def measure(self, network: nn.Module, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> Measured:
        """Look at each stream from its beginning to its end, and count the frames that it got right."""
        network = cast("CnnRnn", network)
        answers, losses = list[Answer](), 0.0
        network.eval()
        with torch.inference_mode():
            for each in samples:
                features = []
                for rows in _parts(each.rows, self.batch):
                    shown = torch.from_numpy(pixels[list(rows)]).permute(0, 3, 1, 2).to(self.device)
                    features.append(network.features(normalise(shown, self.numbers)))
                scores = _scores_of_frames(network, torch.cat(features)[None])[0].float()
                targets = torch.tensor(each.targets, device=self.device)
                losses += float(functional.cross_entropy(scores, targets, reduction="sum", ignore_index=UNKNOWN))
                found = zip(each.targets, scores.argmax(dim=1).tolist(), strict=True)
                answers += [Answer(each.group, true, said) for true, said in found if true != UNKNOWN]
        return _measured(answers, losses, self.names)


class Detection:
    """Boxes with classes, by the losses of torchvision's detectors.

    Args:
        numbers: of the network: nothing is subtracted, because detectors normalise by themselves.
        names: of the classes, by index; the first is the background.
        device: where the network is.
    """

    score_name = "mAP at IoU 0.5"

    def __init__(self, options: Options, numbers: Preprocessing, names: Sequence[str], *, device: torch.device) -> None:
        self._numbers, self._names, self._device = numbers, tuple(names), device
        self._batch, self._threshold = options.batch, options.threshold

    def loss(self, network: nn.Module, batch: Batch) -> StepLoss:
        """Take two lists: pictures (3, height, width), and dictionaries of boxes and labels."""
        pictures, targets = batch
        shown = [normalise(each[None].to(self._device), self._numbers)[0] for each in pictures]
        truth = [{name: each.to(self._device) for name, each in target.items()} for target in targets]
        losses: dict[str, torch.Tensor] = network(shown, truth)
        return StepLoss(torch.stack(list(losses.values())).sum(), 0, 0)

    def measure(self, network: nn.Module, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> Measured:
        """Find boxes, and compare them with the true ones."""
        seen = list[Seen]()
        network.eval()
        with torch.inference_mode():
            for part in _parts(samples, self._batch):
                shown = torch.from_numpy(pixels[[each.rows[0] for each in part]]).permute(0, 3, 1, 2)
                found = network(list(normalise(shown.to(self._device), self._numbers)))
                seen += [_seen(each, boxes) for each, boxes in zip(part, found, strict=True)]
        figures = box_figures(seen, self._names, threshold=self._threshold)
        return Measured(figures.map_50, 0.0, figures)


def _scores(found: Any) -> torch.Tensor:
    """Return the scores; some networks also return those of helpers while they are trained."""
    scores: torch.Tensor = found if isinstance(found, torch.Tensor) else found[0]
    return scores


def _scores_of_frames(network: CnnRnn, features: torch.Tensor) -> torch.Tensor:
    """Take (batch, frames, features), from a fresh state; return (batch, frames, classes)."""
    seen, _ = network.rnn(features)
    scores: torch.Tensor = network.classifier(seen)
    return scores


def _measured(answers: Sequence[Answer], losses: float, names: Sequence[str]) -> Measured:
    figures = figures_of(answers, names)
    return Measured(figures.accuracy.value, losses / max(1, len(answers)), figures)


def _seen(sample: Sample, found: dict[str, torch.Tensor]) -> Seen:
    boxes = torch.tensor(sample.boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(sample.targets, dtype=torch.int64)
    # The surest, as many as the worker reports: some networks find more.
    best = {name: found[name][:MOST_BOXES].cpu() for name in ("boxes", "labels", "scores")}
    return Seen(sample.group, best["boxes"], best["labels"], best["scores"], boxes, labels)


def _parts(found: Sequence[Any], length: int) -> Iterator[Sequence[Any]]:
    return (found[first : first + length] for first in range(0, len(found), length))
