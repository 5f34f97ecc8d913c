"""torchvision's detectors as parts of the worker: what they do with a picture of fixed size, and what they report."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import torchvision  # type: ignore[import-untyped]
from torch import nn
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable

_WITHOUT_EPS: Final = frozenset(
    {"fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"}
)
"""Networks whose oldest published weights were trained with batch normalisation that divides by the bare deviation."""


def normalise_as_published(network: nn.Module, architecture: str, sha256: str) -> None:
    """Make batch normalisation divide as it did when published weights were trained; others are left as they are.

    torchvision does this where it loads these weights by name, and a state dict does not say it.

    Args:
        network: of this architecture.
        architecture: torchvision's name of it.
        sha256: hash of the weights' file.
    """
    if architecture not in _WITHOUT_EPS:
        return
    url = torchvision.models.get_model_weights(architecture).COCO_V1.url
    if sha256.startswith(Path(urlsplit(url).path).stem.rpartition("-")[2]):
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = 0.0


def adapt_detector(network: nn.Module, size: tuple[int, int], *, threshold: float, most: int) -> None:
    """Make one of torchvision's detectors take pictures as they come, and report as many boxes as are wanted.

    Doing it twice changes nothing. Any other network is left as it is.

    - Its own transform resizes no more. It still normalises, and it fills up to a multiple of what its strides need.
    - It reports boxes from a lower score on, and more of them, if its own limits are stricter than those wanted.
    - Masks and key points, which nobody asks for, are not computed.

    Args:
        network: as torchvision builds it.
        size: (height, width) of the pictures.
        threshold: from which score on boxes are wanted.
        most: how many boxes of a picture are wanted.
    """
    parts: Any = network
    if (transform := getattr(parts, "transform", None)) is not None:
        transform.fixed_size = (size[1], size[0])
    last = getattr(parts, "roi_heads", parts)
    if hasattr(last, "score_thresh"):
        last.score_thresh = min(last.score_thresh, threshold)
        last.detections_per_img = max(last.detections_per_img, most)
    for part in ("mask_roi_pool", "keypoint_roi_pool"):
        if hasattr(last, part):
            setattr(last, part, None)


def check_engine(network: nn.Module | ExportedProgram, engine: str) -> None:
    """Refuse what cannot be exported before the attempt, which takes a while and fails with a riddle.

    Raises:
        ModelUnavailable: the network is no program, and the engine runs exported networks alone.
    """
    if engine != "eager" and not isinstance(network, ExportedProgram):
        raise ModelUnavailable(
            f"engine {engine} cannot run torchvision's detectors: they find another number of boxes in each picture, "
            "which torch cannot export; set model.engine: eager"
        )
