"""torchvision's video models with drawn weights, and what plain torchvision makes of the same frames."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]

from tests.support.models import open_model
from worker import wire
from worker.domain.frames import EncodedFrame
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.local.samples import fetch_video
from worker.media.video import read_video
from worker.models.loaded import LoadedModel
from worker.models.manifest import write_manifest
from worker.models.preparation import frame_decoder
from worker.models.torchvision_weights import published_weights
from worker.ports import Decode
from worker.settings import Limits, ModelGroup

Probabilities = NDArray[np.float32]
"""(clips, classes)"""
CLASSES: Final = 400

_SPREAD: Final = 3.0
"""Standard deviation of the scores of a clip: with torchvision's initial weights all classes are equally likely."""
_PARTITION: Final = TopicPartition("frames", 0)


def video_frames(name: str, *, first: int, count: int) -> Sequence[EncodedFrame]:
    """Return consecutive frames of a sample video, as the worker gets them: JPEG."""
    captured = read_video(fetch_video(name), camera=name, start=EventMillis(0))
    return [
        wire.parse_frame(
            Record(Position(_PARTITION, offset), sent.key, sent.value, sent.headers, EventMillis(0)),
            arrived_at=EventMillis(0),
            arrived=Monotonic(0.0),
        )
        for offset, each in enumerate(islice(captured, first, first + count), first)
        for sent in [wire.render_frame(_PARTITION.topic, each)]
    ]


def drawn_video_model(folder: Path, architecture: str, frames: int) -> Path:
    """Write a model folder for one of torchvision's video models, for clips of some frames, and return it.

    Its weights are drawn with a fixed seed. Batch normalisation has seen real frames, and the last layer is scaled, so
    that activations are in a usual range and classes are not equally likely.
    """
    published = published_weights(architecture)
    assert published.clip is not None
    torch.manual_seed(7)
    network = get_model(architecture)
    layers = list(network.modules())
    normalising = [layer for layer in layers if isinstance(layer, nn.BatchNorm3d)]
    for layer in normalising:
        layer.momentum = None  # statistics of all frames, not a moving average
    last = [layer for layer in layers if isinstance(layer, nn.Conv3d | nn.Linear)][-1]
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    preset = get_model_weights(architecture).DEFAULT.transforms()
    seen = preset(_decoded([video_frames("bikes", first=first, count=frames) for first in (100, 200)]))
    with torch.no_grad():
        if normalising:
            network.train()(seen)
        last.weight *= _SPREAD / network.eval()(seen).std()
    torch.save(network.state_dict(), folder / "weights.pth")
    write_manifest(
        folder,
        {"name": architecture, "architecture": architecture, "weights": "weights.pth"},
        labels=published.labels,
        preprocessing=published.preprocessing,
        task="clip",
        clip=replace(published.clip, frames=frames),
    )
    return folder


def by_worker(folder: Path, **settings: Any) -> Callable[[Sequence[Sequence[EncodedFrame]]], Probabilities]:
    """Return a function that answers clips as the worker does: decode, prepare, run."""
    model = open_model(folder, top_k=CLASSES, **{"threads": torch.get_num_threads()} | settings)
    decode = frame_decoder(model.preprocessing, ModelGroup(path=folder), Limits())

    def answer(clips: Sequence[Sequence[EncodedFrame]]) -> Probabilities:
        found = model.run(prepared_clips(model, decode, clips))
        probabilities = np.empty((len(clips), CLASSES), np.float32)
        np.put_along_axis(probabilities, found["indices"], found["probabilities"], axis=1)
        return probabilities

    return answer


def prepared_clips(model: LoadedModel, decode: Decode, clips: Sequence[Sequence[EncodedFrame]]) -> NDArray[np.uint8]:
    """Return clips as a batch for the model, (clips, *input_shape)."""
    pixels = np.empty((len(clips), *model.input_shape), np.uint8)
    for frames, places in zip(clips, pixels, strict=True):
        for frame, out in zip(frames, places, strict=True):
            decode(frame, out)
    return pixels


def by_torchvision(folder: Path, architecture: str) -> Callable[[Sequence[Sequence[EncodedFrame]]], Probabilities]:
    """Return a function that answers clips with the same weights, torchvision's preset, and nothing of ours."""
    network = get_model(architecture).eval()
    network.load_state_dict(torch.load(folder / "weights.pth", weights_only=True))
    preset = get_model_weights(architecture).DEFAULT.transforms()

    def answer(clips: Sequence[Sequence[EncodedFrame]]) -> Probabilities:
        with torch.inference_mode():
            found = network(preset(_decoded(clips)))
        probabilities: Probabilities = found.softmax(dim=1).numpy()
        return probabilities

    return answer


def _decoded(clips: Sequence[Sequence[EncodedFrame]]) -> torch.Tensor:
    """Return RGB, (clips, frames, 3, height, width), uint8."""
    pixels = [
        [cv2.imdecode(np.frombuffer(each.data, np.uint8), cv2.IMREAD_COLOR_RGB) for each in frames] for frames in clips
    ]
    return torch.from_numpy(np.array(pixels)).permute(0, 1, 4, 2, 3).contiguous()
