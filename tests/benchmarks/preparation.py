"""Measure the cost and the effect of each `model.preparation`: `python -m tests.benchmarks.preparation`.

Cameras move over real photographs, and the model is MobileNetV2 with its real weights. Each preparation is compared
with `exact`, and so are torchvision's two resizes and OpenCV's, which the worker does not offer. Times are CPU times of
one thread, as medians of alternating rounds. On a GPU, wall-clock time is measured, for decoding and preparing
together.
"""

import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms import functional as transforms
from torchvision.transforms.v2 import functional as transforms_v2  # type: ignore[import-untyped]

from tests.support.models import open_model
from tests.support.pictures import frame_of
from worker.domain.frames import EncodedFrame, Image
from worker.domain.geometry import resized_size
from worker.domain.pictures import PictureRules
from worker.domain.preprocessing import Preprocessing
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene
from worker.media.images import decode_image, limit_opencv_threads
from worker.media.resize import resize_middle
from worker.models.manifest import load_manifest
from worker.models.preparation import frame_decoder
from worker.models.ready import ready_model
from worker.settings import Limits, ModelGroup

Pixels = NDArray[np.uint8]
Prepare = Callable[[Image, Pixels, Preprocessing], None]
Run = Callable[[EncodedFrame, Pixels], tuple[float, float]]
"""Prepares one frame, and returns the seconds for decoding and for preparing."""

SIZES: Final = ((640, 480), (1280, 960), (1920, 1080))
FRAMES: Final = 20
"""Frames per camera."""
LIMIT: Final = Limits().max_pixels
NUMBERS: Final[Preprocessing] = load_manifest(ready_model("mobilenet_v2")).preprocessing


def on_cpu(prepare: Prepare, shorter_side: int | None = None) -> Run:
    """Return a function that times both steps of a preparation on the CPU."""

    def run(frame: EncodedFrame, out: Pixels) -> tuple[float, float]:
        began = time.thread_time()
        image = decode_image(frame, PictureRules(), shorter_side=shorter_side)
        decoded = time.thread_time()
        prepare(image, out, NUMBERS)
        return decoded - began, time.thread_time() - decoded

    return run


def on_gpu() -> Run:
    """Return a function that times the preparation on the GPU, which is one step."""
    group = ModelGroup(name="mobilenet_v2", device="cuda", preparation="nvjpeg")
    decode = frame_decoder(NUMBERS, group, Limits())

    def run(frame: EncodedFrame, out: Pixels) -> tuple[float, float]:
        began = time.perf_counter()
        decode(frame, out)
        return time.perf_counter() - began, 0.0

    return run


def torchvision(api: ModuleType) -> Prepare:
    """Return a resize with one of torchvision's two APIs."""

    def prepare(image: Image, out: Pixels, numbers: Preprocessing) -> None:
        pixels = torch.from_numpy(image.pixels).permute(2, 0, 1)
        resized = api.resize(pixels, [numbers.resize], InterpolationMode(numbers.interpolation), antialias=True)
        out[:] = api.center_crop(resized, list(numbers.crop_size)).permute(1, 2, 0).numpy()

    return prepare


def opencv(interpolation: int) -> Prepare:
    """Return a resize with OpenCV."""

    def prepare(image: Image, out: Pixels, numbers: Preprocessing) -> None:
        size, (height, width) = resized_size(image.size, numbers.resize), numbers.crop_size
        resized = cv2.resize(image.pixels, size, interpolation=interpolation)
        top, left = round((size[1] - height) / 2), round((size[0] - width) / 2)
        out[:] = resized[top : top + height, left : left + width]

    return prepare


def preparations() -> dict[str, Run]:
    """Return all preparations that this machine supports, `exact` first."""
    found = {
        "exact": on_cpu(resize_middle),
        "reduced": on_cpu(resize_middle, NUMBERS.least_side),
        "not offered: torchvision, float": on_cpu(torchvision(transforms)),
        "not offered: torchvision, uint8": on_cpu(torchvision(transforms_v2)),
        "not offered: OpenCV, area": on_cpu(opencv(cv2.INTER_AREA)),
        "not offered: OpenCV, linear": on_cpu(opencv(cv2.INTER_LINEAR)),
    }
    return found | ({"nvjpeg": on_gpu()} if torch.cuda.is_available() else {})


def main() -> None:
    """Compare all preparations at all sizes."""
    warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)
    limit_opencv_threads(1)
    console = Console(width=140)
    model = open_model(ready_model("mobilenet_v2"), engine="openvino", top_k=1000)
    torch.set_num_threads(1)
    runs = preparations()
    for size in SIZES:
        scenes = [(each, Scene(load_photograph(each), each.seed, size, length=FRAMES)) for each in PHOTOGRAPHS]
        frames = [
            (frame_of(jpeg), model.task.labels.index(each.label)) for each, scene in scenes for jpeg in scene.frames()
        ]
        labels = np.array([label for _, label in frames])
        took: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        batches = {name: np.empty((len(frames), *model.input_shape), np.uint8) for name in runs}
        for number, (frame, _) in enumerate(frames):
            for name, run in runs.items():
                took[name].append(run(frame, batches[name][number]))
        table = Table(
            "preparation", "decode ms", "prepare ms", "same top 1", "largest difference", "mean", "right", "pixels off"
        )
        expected = np.zeros((len(frames), len(model.task.labels)), np.float32)
        for name, batch in batches.items():
            found = np.zeros_like(expected)
            ranked = model.run(batch)
            np.put_along_axis(found, ranked["indices"], ranked["probabilities"], axis=1)
            if name == "exact":
                expected = found
            top1, difference = found.argmax(axis=1), np.abs(found - expected).max(axis=1)
            decoding, preparing = (statistics.median(each) * 1000 for each in zip(*took[name], strict=True))
            table.add_row(
                name,
                f"{decoding:.2f}",
                f"{preparing:.2f}",
                f"{(top1 == expected.argmax(axis=1)).mean():.1%}",
                f"{difference.max():.3f}",
                f"{difference.mean():.4f}",
                f"{(top1 == labels).mean():.1%}",
                f"{np.abs(batch.astype(int) - batches['exact']).mean():.2f}",
            )
        console.print(f"{size[0]}x{size[1]}, {len(frames)} frames")
        console.print(table)


if __name__ == "__main__":
    main()
