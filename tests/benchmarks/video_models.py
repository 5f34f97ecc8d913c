"""Compare torchvision's video models in the worker with plain torchvision: `python -m tests.benchmarks.video_models`.

Both get the same JPEG frames of a street and the same drawn weights. The worker decodes, prepares and runs them; the
other side decodes them with OpenCV, and gives them to torchvision's preset and network. With `--engines`, two models
run on every engine instead, and are compared with eager.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from tests.support.models import open_model
from tests.support.video_models import by_torchvision, by_worker, drawn_video_model, prepared_clips, video_frames
from worker.domain.errors import ModelUnavailable
from worker.domain.frames import EncodedFrame
from worker.models.preparation import frame_decoder
from worker.models.ready import ready_model
from worker.models.torchvision_weights import published_weights
from worker.settings import Limits, ModelGroup

FRAMES: Final = {
    "r3d_18": 8,
    "mc3_18": 8,
    "r2plus1d_18": 8,
    "s3d": 14,  # the fewest that it takes
    "mvit_v1_b": 16,  # as its weights were trained; it takes nothing else
    "mvit_v2_s": 16,
    "swin3d_t": 4,
    "swin3d_s": 4,
    "swin3d_b": 4,
}
"""Frames of a clip; fewer than in training where a network takes any number."""
VIDEO: Final = "bikes"
STARTS: Final = (0, 140)
"""First frames of the clips, each of another shot."""
TOLERANCE: Final = 1e-4
ENGINES: Final = ("eager", "compile", "openvino", "onnxruntime")
ROUNDS: Final = 2

Clips = Sequence[Sequence[EncodedFrame]]


def clips_of(frames: int, starts: Sequence[int] = STARTS) -> Clips:
    """Return clips of the video."""
    return [video_frames(VIDEO, first=first, count=frames) for first in starts]


def best_rates(answers: Sequence[Callable[[Any], object]], clips: Sequence[Any]) -> list[str]:
    """Return the clips per second of each, in its fastest round, one clip a call; they take turns."""
    rounds: list[list[float]] = [[] for _ in answers]
    for _ in range(ROUNDS):
        for answer, taken in zip(answers, rounds, strict=True):
            began = time.perf_counter()
            for each in clips:
                answer(each)
            taken.append((time.perf_counter() - began) / len(clips))
    return [f"{1 / min(taken):.2f}" for taken in rounds]


def compare(architecture: str, frames: int) -> tuple[list[str], bool]:
    """Return a row of the table, and whether both sides agree."""
    clips = clips_of(frames)
    with tempfile.TemporaryDirectory() as scratch:
        folder = drawn_video_model(Path(scratch), architecture, frames)
        ours, plain = by_worker(folder), by_torchvision(folder, architecture)
        found, expected = ours(clips), plain(clips)
        rates = best_rates((ours, plain), [clips[:1]])
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    difference = float(np.abs(found - expected).max())
    highest = float(expected.max())
    size = open_size(architecture)
    row = [architecture, f"{frames} x {size}", f"{same} of {len(clips)}", f"{highest:.2f}", f"{difference:.1e}", *rates]
    return row, same == len(clips) and difference <= TOLERANCE


def open_size(architecture: str) -> str:
    """Return the size of the network's input."""
    height, width = published_weights(architecture).preprocessing.crop_size
    return f"{width}x{height}"


def compare_engines(name: str, folder: Path, frames: int, console: Console) -> None:
    """Print how far each engine agrees with eager, and how fast it is."""
    table = Table("engine", "largest difference", "clips/s", "ready after", title=name, title_justify="left", box=None)
    expected = None
    for engine in ENGINES:
        began = time.perf_counter()
        try:
            model = open_model(folder, engine=engine, threads=torch.get_num_threads())
        except ModelUnavailable as error:
            table.add_row(engine, "", "", str(error).strip().splitlines()[0][:200])
            continue
        ready = time.perf_counter() - began
        decode = frame_decoder(model.preprocessing, ModelGroup(path=folder), Limits())
        pixels = prepared_clips(model, decode, clips_of(frames))
        # A clip alone may be answered by other code than several.
        found = [model.run(pixels), *(model.run(pixels[n : n + 1]) for n in range(len(pixels)))]
        expected = expected or found
        values = "values" if "values" in found[0] else "probabilities"
        difference = max(float(np.abs(a[values] - b[values]).max()) for a, b in zip(found, expected, strict=True))
        (rate,) = best_rates((model.run,), [pixels[n : n + 1] for n in range(len(pixels))])
        table.add_row(engine, f"{difference:.1e}", rate, f"{ready:.0f} s")
    console.print(table, "")


def main() -> int:
    """Print the table; the exit status is 1 if the two sides disagree anywhere."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--engines", action="store_true", help="compare engines instead")
    options.add_argument("models", nargs="*", default=list(FRAMES), metavar="MODEL")
    chosen = options.parse_args()
    console = Console(width=120)
    # On cores that others use too, threads that wait for each other are ten times slower.
    torch.set_num_threads(1)
    if chosen.engines:
        with tempfile.TemporaryDirectory() as scratch:
            compare_engines("r3d_18", drawn_video_model(Path(scratch), "r3d_18", 16), 16, console)
        compare_engines("transnetv2", ready_model("transnetv2"), 100, console)
        return 0
    table = Table("model", "frames x size", "same class", "highest", "difference", "clips/s", "torchvision's", box=None)
    agree = True
    for architecture in chosen.models:
        row, agrees = compare(architecture, FRAMES[architecture])
        table.add_row(*row)
        agree = agree and agrees
    console.print(table)
    console.print(f"No probability may differ by more than {TOLERANCE:g}: {'none does' if agree else 'some do'}.")
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main())
