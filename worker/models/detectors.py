"""torchvision's detectors as parts of the worker: what they do with a picture of fixed size, and what they report."""

from typing import Any

from torch import nn
from torch.export import ExportedProgram

from worker.domain.errors import ModelUnavailable


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
