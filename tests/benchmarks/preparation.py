"""What faster ways to prepare a picture cost in exactness: `python -m tests.benchmarks.preparation`.

Moving cameras over real photographs, MobileNetV2 with its real weights; each way is held against the exact one, that is
torchvision's own. Times are of one thread, medians of rounds that alternate.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms.v2 import functional as v2  # type: ignore[import-untyped]

from tests.support.models import open_model
from worker.adapters.torch_preparation import prepare_image
from worker.domain.frames import Image
from worker.domain.preprocessing import Preprocessing
from worker.local.models import ready_model
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene
from worker.manifest import load_manifest

Pixels = NDArray[np.uint8]
SIZES: Final = ((640, 480), (1280, 960))
FRAMES: Final = 60
"""Of each camera."""
SIDE, CROP = 256, 224
NUMBERS: Final[Preprocessing] = load_manifest(ready_model("mobilenet_v2")).preprocessing


def decode(jpeg: bytes, flags: int = cv2.IMREAD_COLOR_RGB) -> Pixels:
    """Decode as the worker does."""
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)
    assert found is not None
    return found.astype(np.uint8, copy=False)


def seen(pixels: Pixels) -> Pixels:
    """Cut out, unresized, what the resized and cropped picture shows."""
    height, width = pixels.shape[:2]
    side = round(min(height, width) * CROP / SIDE)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def exact(pixels: Pixels) -> Pixels:
    out = np.empty((CROP, CROP, 3), np.uint8)
    prepare_image(Image(pixels), out, NUMBERS)
    return out


def torchvision_uint8(pixels: Pixels) -> Pixels:
    resized = v2.resize(torch.from_numpy(pixels).permute(2, 0, 1), [SIDE], InterpolationMode.BILINEAR, antialias=True)
    return np.asarray(v2.center_crop(resized, [CROP]).permute(1, 2, 0).numpy(), np.uint8)


def cropped_then(resize: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    return lambda pixels: resize(seen(pixels))


def torchvision_square(pixels: Pixels) -> Pixels:
    square = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    resized = v2.resize(square, [CROP, CROP], InterpolationMode.BILINEAR, antialias=True)
    return np.asarray(resized.permute(1, 2, 0).numpy(), np.uint8)


def opencv(interpolation: int) -> Callable[[Pixels], Pixels]:
    def resize(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        scale = SIDE / min(height, width)
        size = (int(width * scale), int(height * scale))
        resized = cv2.resize(pixels, size, interpolation=interpolation)
        top, left = round((size[1] - CROP) / 2), round((size[0] - CROP) / 2)
        return resized[top : top + CROP, left : left + CROP].astype(np.uint8, copy=False)

    return resize


def opencv_square(interpolation: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.resize(pixels, (CROP, CROP), interpolation=interpolation).astype(np.uint8, copy=False)


WAYS: Final[dict[str, tuple[int, Callable[[Pixels], Pixels]]]] = {
    "exact (torchvision v1, float)": (cv2.IMREAD_COLOR_RGB, exact),
    "torchvision v2, uint8": (cv2.IMREAD_COLOR_RGB, torchvision_uint8),
    "crop, torchvision v2, uint8": (cv2.IMREAD_COLOR_RGB, cropped_then(torchvision_square)),
    "OpenCV area": (cv2.IMREAD_COLOR_RGB, opencv(cv2.INTER_AREA)),
    "OpenCV linear": (cv2.IMREAD_COLOR_RGB, opencv(cv2.INTER_LINEAR)),
    "crop, OpenCV area": (cv2.IMREAD_COLOR_RGB, cropped_then(opencv_square(cv2.INTER_AREA))),
    "crop, OpenCV linear": (cv2.IMREAD_COLOR_RGB, cropped_then(opencv_square(cv2.INTER_LINEAR))),
    "half-size JPEG, exact": (cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_COLOR_RGB, exact),
    "half-size JPEG, torchvision v2": (cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_COLOR_RGB, torchvision_uint8),
    "half-size JPEG, OpenCV area": (cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_COLOR_RGB, opencv(cv2.INTER_AREA)),
    "half-size JPEG, OpenCV linear": (cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_COLOR_RGB, opencv(cv2.INTER_LINEAR)),
}


def main() -> None:
    """Compare all ways at all sizes."""
    cv2.setNumThreads(1)
    console = Console(width=140)
    model = open_model(ready_model("mobilenet_v2"), engine="openvino", top_k=1000)
    torch.set_num_threads(1)
    for size in SIZES:
        scenes = [(each, Scene(load_photograph(each), each.seed, size, length=FRAMES)) for each in PHOTOGRAPHS]
        frames = [(jpeg, model.labels.index(each.label)) for each, scene in scenes for jpeg in scene.frames()]
        labels = np.array([label for _, label in frames])
        took: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        batches: defaultdict[str, list[Pixels]] = defaultdict(list)
        for jpeg, _ in frames:
            for name, (flags, prepare) in WAYS.items():
                began = time.thread_time()
                pixels = decode(jpeg, flags)
                decoded = time.thread_time()
                batches[name].append(prepare(pixels))
                took[name].append((decoded - began, time.thread_time() - decoded))
        table = Table(
            "way", "decode ms", "prepare ms", "same top 1", "largest difference", "mean", "right", "pixels off"
        )
        expected = np.zeros((len(frames), len(model.labels)), np.float32)
        for name, batch in batches.items():
            found = np.zeros_like(expected)
            ranked = model.classify(np.stack(batch))
            np.put_along_axis(found, ranked.indices, ranked.probabilities, axis=1)
            if name.startswith("exact"):
                expected = found
            top1, difference = found.argmax(axis=1), np.abs(found - expected).max(axis=1)
            off = np.abs(np.stack(batch).astype(int) - np.stack(batches[next(iter(WAYS))])).mean()
            decoding, preparing = (statistics.median(each) * 1000 for each in zip(*took[name], strict=True))
            table.add_row(
                name,
                f"{decoding:.2f}",
                f"{preparing:.2f}",
                f"{(top1 == expected.argmax(axis=1)).mean():.1%}",
                f"{difference.max():.3f}",
                f"{difference.mean():.4f}",
                f"{(top1 == labels).mean():.1%}",
                f"{off:.2f}",
            )
        console.print(f"{size[0]}x{size[1]}, {len(frames)} frames")
        console.print(table)


if __name__ == "__main__":
    main()
