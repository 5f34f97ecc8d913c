"""The model of the contestants that classify in batches with torch: the same preparation and the same answers.

A contestant imports it from its own folder, or sends it to the processes that its engine starts.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped]

Answers = tuple[list[list[int]], list[list[float]]]
"""For each picture: the indices of the five most likely classes, and their probabilities."""
Classify = Callable[[Sequence[bytes]], Answers]
"""Takes JPEGs."""


@cache
def torch_classifier(
    architecture: str, weights: str, *, resize: str = "torchvision", threads: int | None = None
) -> Classify:
    """Return a function that classifies a batch; a process loads the model once.

    Args:
        architecture: torchvision's name.
        weights: file of the weights.
        resize: "torchvision" prepares as the published weights require; "opencv" is faster, and gives other pixels.
        threads: threads of torch; None is its own choice. A process that has one core for itself uses one.
    """
    if threads:
        torch.set_num_threads(threads)
    transform: Any = get_model_weights(architecture)["IMAGENET1K_V1"].transforms()
    network = get_model(architecture)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    side, crop = transform.resize_size[0], transform.crop_size[0]

    def by_opencv(picture: NDArray[np.uint8]) -> torch.Tensor:
        height, width = picture.shape[:2]
        scale = side / min(height, width)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        top, left = (small.shape[0] - crop) // 2, (small.shape[1] - crop) // 2
        return torch.from_numpy(small[top : top + crop, left : left + crop].copy()).permute(2, 0, 1)

    def classify(jpegs: Sequence[bytes]) -> Answers:
        pictures = [_decode(each) for each in jpegs]
        with torch.inference_mode():
            if resize == "opencv":
                pixels = torch.stack([by_opencv(each) for each in pictures]).float().div_(255)
                mean, std = torch.tensor(transform.mean), torch.tensor(transform.std)
                batch = pixels.sub_(mean[:, None, None]).div_(std[:, None, None])
            else:
                batch = torch.stack([transform(torch.from_numpy(each).permute(2, 0, 1)) for each in pictures])
            best = network(batch).softmax(1).topk(5)
        return best.indices.tolist(), best.values.tolist()

    return classify


def messages(architecture: str, answers: Answers) -> list[str]:
    """Return each picture's result as JSON."""
    names = get_model_weights(architecture)["IMAGENET1K_V1"].meta["categories"]
    return [
        json.dumps(
            {"classes": [{"name": names[index], "probability": p} for index, p in zip(best, likely, strict=True)]}
        )
        for best, likely in zip(*answers, strict=True)
    ]


def _decode(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
