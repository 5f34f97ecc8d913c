"""Measure the cost and the effect of each `model.preparation`: `python -m tests.benchmarks.preparation`.

Cameras move over real photographs, and the models have their real weights. Each preparation is compared with `exact`,
as `tune` compares: the same class, and the largest difference of a probability. So are torchvision's resize in
float, and those of Pillow and OpenCV, which no setting selects.

Times are CPU times of one thread, as medians of frames; the preparations take turns at each frame. On a GPU, wall-clock
time is measured, for decoding and preparing together. `--only worker` measures the whole worker without Kafka, with
each preparation in turn, and `--quick` takes few frames.
"""

import logging
import os
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final, Literal

import cv2
import numpy as np
import PIL.Image
import structlog
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms import functional as transforms

from tests.benchmarks.frames import USUAL, Size, name_of
from tests.benchmarks.measure import Spread, alternate, ratio
from tests.benchmarks.models import light
from tests.benchmarks.report import processor
from tests.support.models import open_model
from tests.support.pictures import frame_of
from worker.domain.frames import CapturedFrame, EncodedFrame, Image
from worker.domain.geometry import resized_size
from worker.domain.pictures import PictureRules
from worker.domain.preprocessing import Preprocessing
from worker.domain.times import EventMillis
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene
from worker.media.images import decode_image, limit_opencv_threads
from worker.media.resize import resize_middle
from worker.models.allocator import keep_freed_memory
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.models.ready import ready_model
from worker.models.torch_preparation import prepare_image, prepare_in_uint8
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.agreement import Answer, Bounds, compare, most_likely
from worker.tuning.frames import polls
from worker.tuning.measure import worker_rate

Pixels = NDArray[np.uint8]
Prepare = Callable[[Image, Pixels, Preprocessing], None]
Run = Callable[[EncodedFrame, Pixels], tuple[float, float]]
"""Prepares one frame, and returns the seconds for decoding and for preparing."""

MODELS: Final = ("mobilenet_v2", "efficientnet_lite0")
SIZES: Final = (USUAL, (1280, 960), (1920, 1080))
FRAMES: Final = 400
"""Of each of the five cameras."""
QUICK_FRAMES: Final = 8
AT_ONCE: Final = 8
"""Frames in a call of the model."""
IN_A_BATCH: Final = 32
"""Frames in a batch of the worker."""


def on_cpu(numbers: Preprocessing, prepare: Prepare, shorter_side: int | None = None) -> Run:
    """Return a function that times both steps of a preparation on the CPU."""

    def run(frame: EncodedFrame, out: Pixels) -> tuple[float, float]:
        began = time.thread_time()
        image = decode_image(frame, PictureRules(), shorter_side=shorter_side)
        decoded = time.thread_time()
        prepare(image, out, numbers)
        return decoded - began, time.thread_time() - decoded

    return run


def on_gpu(numbers: Preprocessing) -> Run:
    """Return a function that times the preparation on the GPU, which is one step."""
    decode = frame_decoder(numbers, ModelGroup(name="any", device="cuda", preparation="nvjpeg"), Limits())

    def run(frame: EncodedFrame, out: Pixels) -> tuple[float, float]:
        began = time.perf_counter()
        decode(frame, out)
        return time.perf_counter() - began, 0.0

    return run


def by_pillow(image: Image, out: Pixels, numbers: Preprocessing) -> None:
    """Prepare with torchvision's transforms of a Pillow picture, as in training."""
    mode = InterpolationMode(numbers.interpolation)
    resized = transforms.resize(PIL.Image.fromarray(image.pixels), [numbers.resize], mode)
    out[:] = np.asarray(transforms.center_crop(resized, list(numbers.crop_size)))


def opencv(interpolation: int) -> Prepare:
    """Return a resize with OpenCV."""

    def prepare(image: Image, out: Pixels, numbers: Preprocessing) -> None:
        size, (height, width) = resized_size(image.size, numbers.resize), numbers.crop_size
        resized = cv2.resize(image.pixels, size, interpolation=interpolation)
        top, left = round((size[1] - height) / 2), round((size[0] - width) / 2)
        out[:] = resized[top : top + height, left : left + width]

    return prepare


def preparations(numbers: Preprocessing) -> dict[str, Run]:
    """Return all preparations that this machine supports, `exact` first."""
    found = {
        "exact": on_cpu(numbers, resize_middle),
        "uint8": on_cpu(numbers, prepare_in_uint8),
        "reduced": on_cpu(numbers, resize_middle, numbers.least_side),
        "not offered: torchvision, float": on_cpu(numbers, prepare_image),
        "not offered: torchvision, Pillow": on_cpu(numbers, by_pillow),
        "not offered: OpenCV, area": on_cpu(numbers, opencv(cv2.INTER_AREA)),
        "not offered: OpenCV, linear": on_cpu(numbers, opencv(cv2.INTER_LINEAR)),
    }
    return found | ({"nvjpeg": on_gpu(numbers)} if torch.cuda.is_available() else {})


def frames_of(size: Size, each: int) -> Iterator[bytes]:
    """Yield the JPEGs of all cameras, one camera after the other."""
    for photograph in PHOTOGRAPHS:
        yield from Scene(load_photograph(photograph), photograph.seed, size, length=each).frames()


def compare_all(model: LoadedModel, size: Size, each: int) -> Table:
    """Prepare all frames in every way, and compare times and answers."""
    runs = preparations(model.preprocessing)
    took: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    answers: defaultdict[str, dict[str, Answer]] = defaultdict(dict)
    off: defaultdict[str, list[float]] = defaultdict(list)
    largest: defaultdict[str, int] = defaultdict(int)
    frames = [frame_of(jpeg) for jpeg in frames_of(size, each)]
    for first in range(0, len(frames), AT_ONCE):
        some = frames[first : first + AT_ONCE]
        batches = {name: np.empty((len(some), *model.input_shape), np.uint8) for name in runs}
        for number, frame in enumerate(some):
            for name, run in runs.items():
                took[name].append(run(frame, batches[name][number]))
        for name, batch in batches.items():
            ranked = model.run(batch)
            for number, (classes, shares) in enumerate(zip(ranked["indices"], ranked["probabilities"], strict=True)):
                answer = dict(zip(classes.tolist(), shares.tolist(), strict=True))
                answers[name][str(first + number)] = most_likely(answer)
            apart = np.abs(batch.astype(int) - batches["exact"])
            off[name].append(float(apart.mean()))
            largest[name] = max(largest[name], int(apart.max()))
    table = Table(*("preparation", "decode ms", "prepare ms", "frames/s", "same class", "probability off"))
    for heading in ("tune takes it", "pixels off", "at most"):
        table.add_column(heading)
    for name in runs:
        agreement = compare(answers["exact"], answers[name])
        decoding, preparing = (statistics.median(each) * 1000 for each in zip(*took[name], strict=True))
        table.add_row(
            *(name, f"{decoding:.2f}", f"{preparing:.2f}", f"{1000 / (decoding + preparing):.0f}"),
            *(f"{agreement.share:.2%}", f"{agreement.difference:.3f}"),
            "no" if Bounds().why_not(agreement) else "yes",
            *(f"{statistics.mean(off[name]):.2f}", str(largest[name])),
        )
    return table


def worker_rates(size: Size, rounds: int, seconds: float) -> Mapping[str, list[float]]:
    """Return frames a second of the whole worker without Kafka, with a light model and a stream for each core."""
    cores = len(os.sched_getaffinity(0))
    settings = {"name": "any", "engine": "openvino", "streams": cores, "threads": cores}
    model = open_model(light().folder, engine="openvino", streams=cores, threads=cores)
    window = WindowGroup(max_frames=IN_A_BATCH)
    groups = {
        way: Groups(ModelGroup(**settings, preparation=way), window, Limits()) for way in ("exact", "uint8", "reduced")
    }
    model.warm_up(IN_A_BATCH)
    pictures = list(frames_of(size, QUICK_FRAMES))
    frames = [CapturedFrame("camera", each, EventMillis(0), "image/jpeg") for each in pictures]
    contestants = {
        way: lambda each=each: worker_rate(each, model, polls(frames, endless=True), seconds)
        for way, each in groups.items()
    }
    return alternate(contestants, rounds, lambda *_: None)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Few frames, of one size and one model.")] = False,  # noqa: FBT002
    only: Annotated[Literal["answers", "worker"] | None, typer.Option(help="One of the two parts.")] = None,
) -> None:
    """Compare all preparations."""
    warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)
    keep_freed_memory()
    limit_opencv_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console(width=140)
    console.print(f"{processor()}, {len(os.sched_getaffinity(0))} cores")
    if only != "worker":
        torch.set_num_threads(1)
        each = QUICK_FRAMES if quick else FRAMES
        for name in MODELS[:1] if quick else MODELS:
            model = open_model(ready_model(name), engine="openvino")
            for size in SIZES[:1] if quick else SIZES:
                console.print(f"{name}, {name_of(size)}, {len(PHOTOGRAPHS) * each} frames")
                console.print(compare_all(model, size, each))
    if only != "answers":
        for size in SIZES[:1] if quick else SIZES:
            rates = worker_rates(size, *((3, 1.0) if quick else (7, 5.0)))
            table = Table("preparation", "frames/s", "from round to round", "of exact", "from round to round")
            for way, found in rates.items():
                table.add_row(way, *Spread.of(found).cells(0), *ratio(found, rates["exact"]).cells(2))
            console.print(f"the whole worker without Kafka, {name_of(size)}, OpenVINO, a light model")
            console.print(table)


if __name__ == "__main__":
    typer.run(main)
