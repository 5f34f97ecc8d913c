"""A CNN that looks at each frame, and an RNN that looks at the sequence: two ways to run one set of weights."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor  # type: ignore[import-untyped]

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import CnnRnnShape
from worker.models.classifiers import build_embedder

_FEATURES = "features"
_SIDE = 224
"""Pixels of the picture with which the number of features is found out: some transformers take no other."""


class Step(NamedTuple):
    """What one frame leads to.

    Attributes:
        scores: (cameras, classes), logits.
        state: (cameras, state_size), what is remembered.
    """

    scores: torch.Tensor
    state: torch.Tensor


class CnnRnn(nn.Module):
    """Classifies a clip, or a stream frame by frame; both from the same weights.

    `forward` takes a clip as a whole. `features` and `step` take one frame after another: from a fresh state, the
    scores after the last frame of a clip are those of `forward`.

    Args:
        shape: of its parts.
        classes: how many there are.
        arguments: of torchvision's builder of the backbone.

    Raises:
        ModelUnavailable: torchvision has no such backbone, or the backbone no such layer.

    Attributes:
        backbone: takes normalised RGB, (batch, 3, height, width), and returns (batch, features).
    """

    def __init__(self, shape: CnnRnnShape, classes: int, arguments: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__()
        self.backbone = _backbone(shape, arguments)
        recurrent = nn.GRU if shape.rnn == "gru" else nn.LSTM
        self.rnn = recurrent(
            _width(self.backbone, arguments.get("image_size", _SIDE)), shape.hidden, shape.layers, batch_first=True
        )
        self.classifier = nn.Linear(shape.hidden, classes)
        self._shape = shape

    @property
    def state_size(self) -> int:
        """Numbers that are remembered of a camera; a fresh state is all zeros."""
        parts = 2 if self._shape.rnn == "lstm" else 1
        return parts * self._shape.layers * self._shape.hidden

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Take normalised RGB, (batch, 3, height, width); return (batch, features)."""
        found: torch.Tensor = self.backbone(pictures)
        return found

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """Take clips, (batch, 3, frames, height, width); return logits, (batch, classes), after the last frame."""
        frames = clips.transpose(1, 2)
        features = self.features(frames.flatten(0, 1))
        features = features.view(frames.shape[0], frames.shape[1], features.shape[1])
        seen, _ = self.rnn(features)
        scores: torch.Tensor = self.classifier(seen[:, -1])
        return scores

    def step(self, features: torch.Tensor, state: torch.Tensor) -> Step:
        """Go one frame on, each row for a camera of its own.

        Args:
            features: of the frames, (cameras, features).
            state: what is remembered of the frames before, (cameras, state_size).
        """
        layers, hidden = self._shape.layers, self._shape.hidden
        parts = state.view(len(state), -1, layers, hidden).permute(1, 2, 0, 3).contiguous()
        before = (parts[0], parts[1]) if self._shape.rnn == "lstm" else parts[0]
        seen, after = self.rnn(features.unsqueeze(1), before)
        kept = torch.stack(after if isinstance(after, tuple) else (after,))
        return Step(self.classifier(seen[:, -1]), kept.permute(2, 0, 1, 3).reshape(len(state), -1))


class _Pooled(nn.Module):
    """The output of one of a backbone's layers, averaged to a grid."""

    def __init__(self, body: nn.Module, grid: int) -> None:
        super().__init__()
        self.body = body
        self.pool = nn.AdaptiveAvgPool2d(grid)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.pool(self.body(pictures)[_FEATURES])
        return found.flatten(1)


def _backbone(shape: CnnRnnShape, arguments: Mapping[str, Any]) -> nn.Module:
    network = build_embedder(shape.backbone, **arguments)
    if shape.layer is None:
        return network
    try:
        body = create_feature_extractor(network, {shape.layer: _FEATURES})
    except ValueError as error:
        raise ModelUnavailable(
            f"{shape.backbone} has no layer {shape.layer!r}: torchvision.models.feature_extraction."
            "get_graph_node_names lists those that it has"
        ) from error
    return _Pooled(body, shape.grid)


def _width(backbone: nn.Module, side: int) -> int:
    """Count the features that a backbone returns for a picture."""
    training = backbone.training
    with torch.inference_mode():
        found = backbone.eval()(torch.zeros(1, 3, side, side))
    backbone.train(training)
    if found.dim() != 2:
        raise ModelUnavailable(f"the backbone returns {tuple(found.shape)} for a picture, not one row of features")
    return int(found.shape[1])
