"""Batches of samples, in an order that depends on the seed and the number of the epoch alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, RandomSampler, Sampler, WeightedRandomSampler

from worker.domain.preprocessing import Preprocessing
from worker.training.augment import Transform
from worker.training.samples import UNKNOWN, Sample

Batch = tuple[Any, Any]
"""Pixels and targets.

Of classifiers, tensors: uint8 (batch, 3, height, width) or (batch, frames, 3, height, width), and (batch,) or
(batch, frames). Of detectors, two lists: pictures (3, height, width), and dictionaries as torchvision's detectors take
them.
"""


class Pieces(Dataset[Batch]):
    """The samples as tensors, changed at random.

    Args:
        samples: what there is.
        pixels: (pictures, height, width, 3), uint8.
        change: what is done with each; None for nothing.
        length: of all sequences; shorter ones are filled with what counts for nothing. None for pictures and clips.
        boxed: whether these are pictures with boxes.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        pixels: NDArray[np.uint8],
        change: Transform | None,
        *,
        length: int | None = None,
        boxed: bool = False,
    ) -> None:
        self._samples, self._pixels, self._change = samples, pixels, change
        self._length, self._boxed = length, boxed

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Batch:
        sample = self._samples[index]
        rows, targets = list(sample.rows), list(sample.targets)
        if self._length is not None:
            missing = self._length - len(rows)
            rows, targets = [*rows, *rows[-1:] * missing], [*targets, *[UNKNOWN] * missing]
        pictures = torch.from_numpy(np.ascontiguousarray(self._pixels[rows])).permute(0, 3, 1, 2)
        if self._boxed:
            return self._with_boxes(pictures[0], sample)
        if len(rows) == 1 and self._length is None:
            pictures = pictures[0]
        if self._change is not None:
            pictures = self._change(pictures)
        return pictures, torch.tensor(targets if self._length is not None else targets[0])

    def _with_boxes(self, picture: torch.Tensor, sample: Sample) -> Batch:
        boxes = torch.tensor(sample.boxes, dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor(sample.targets, dtype=torch.int64)
        if self._change is not None:
            picture, boxes, labels = self._change(picture, boxes, labels)
        return picture, {"boxes": boxes, "labels": labels}


def loader(
    pieces: Pieces, *, batch: int, seed: int, epoch: int, weights: Sequence[float] | None, workers: int
) -> DataLoader[Batch]:
    """Return the batches of one epoch, in random order.

    Args:
        pieces: the samples.
        batch: samples of a batch. A last batch of one is left out: batch norm cannot learn from it.
        seed: of the training.
        epoch: its number.
        weights: how often each sample is drawn, in proportion; None draws each once.
        workers: processes that prepare batches.
    """
    order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    sampler: Sampler[int]
    if weights is None:
        sampler = RandomSampler(pieces, generator=order)
    else:
        sampler = WeightedRandomSampler(weights, len(pieces), generator=order)
    return DataLoader(
        pieces,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        generator=order,
        drop_last=len(pieces) > batch and len(pieces) % batch == 1,
        collate_fn=_as_lists if pieces._boxed else None,  # noqa: SLF001 - of this file
    )


def normalise(pixels: torch.Tensor, numbers: Preprocessing) -> torch.Tensor:
    """Return what the network takes, as the worker's graph computes it.

    Args:
        pixels: uint8, (batch, channels, height, width) or (batch, frames, channels, height, width).
        numbers: of the network.

    Returns:
        float32, (batch, channels, height, width) or (batch, channels, frames, height, width).
    """
    if pixels.dim() == 5:
        pixels = pixels.transpose(1, 2)
    each = (numbers.depth, *(1,) * (pixels.dim() - 2))
    mean = torch.tensor(numbers.mean, device=pixels.device).view(each)
    std = torch.tensor(numbers.std, device=pixels.device).view(each)
    return pixels.to(torch.float32).div_(255 / numbers.max_value).sub_(mean).div_(std)


def _as_lists(found: Sequence[Batch]) -> Batch:
    return [picture for picture, _ in found], [target for _, target in found]
