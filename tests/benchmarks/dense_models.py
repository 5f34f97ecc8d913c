"""Compare torchvision's detectors and segmenters in the worker with a plain torchvision loop, on the same photographs.

`python -m tests.benchmarks.dense_models` prints a row for each network: whether both sides find the same boxes, or give
each place the same class, and how many seconds a picture takes them. Weights are drawn with a fixed seed. Pictures have
the size that belongs to torchvision's published weights; `--small` makes them 320x192 where a network takes any size.

Both sides get the photographs as they are. The plain loop scales and pads them with torchvision's functions, and gives
them to torchvision's own network, one at a time.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import torch
from rich.console import Console
from rich.table import Table

from tests.support.dense_models import ByTorchvision, ByWorker, compare_boxes, drawn_dense_model, same_places, small
from tests.support.models import photograph
from tests.support.pictures import Pixels
from worker.domain.results import Detections, Segmentation
from worker.models.architectures import of_detectors, of_segmenters

PHOTOGRAPHS: Final = ("coffee", "motorcycle", "rocket")
SMALL: Final = (192, 320)
SCORES: Final = 1e-3
PLACES: Final = 0.5
"""Pixels of the picture."""
SAME: Final = 0.99
"""Share of the places of a mask: about one value of a prepared picture in 50,000 differs by 1."""

_Answer = TypeVar("_Answer")


def timed(answer: Callable[[Pixels], _Answer], pictures: Sequence[Pixels]) -> tuple[list[_Answer], float]:
    """Return the answers, and the seconds that the fastest picture took."""
    answers, seconds = [], []
    for each in pictures:
        began = time.perf_counter()
        answers.append(answer(each))
        seconds.append(time.perf_counter() - began)
    return answers, min(seconds)


def compare(architecture: str, pictures: Sequence[Pixels], *, reduced: bool) -> tuple[list[str], bool]:
    """Return a row of the table, and whether both sides agree."""
    with tempfile.TemporaryDirectory() as scratch:
        numbers = small(architecture, *SMALL) if reduced else None
        folder = drawn_dense_model(Path(scratch), architecture, numbers)
        ours, plain = ByWorker(folder, masks=True, threads=torch.get_num_threads()), ByTorchvision(folder, architecture)
        found, our_seconds = timed(ours.result, pictures)
        high, wide = plain.numbers.crop_size
        row, seconds = [architecture, f"{wide}x{high}"], [f"{our_seconds:.2f}"]
        if architecture in of_detectors():
            boxes, plain_seconds = timed(plain.boxes, pictures)
            results = [result.boxes for result in found if isinstance(result, Detections)]
            pairs = [compare_boxes(one, other) for one, other in zip(results, boxes, strict=True)]
            count, same = sum(map(len, boxes)), sum(each.same for each in pairs)
            score, place = max(each.score for each in pairs), max(each.place for each in pairs)
            names = len({each.index for of_picture in boxes for each in of_picture})
            row += [f"{same} of {count} boxes, {names} classes", f"{score:.1e}", f"{place:.1e} px"]
            # The last of the boxes that are kept may be another one of nearly the same score.
            agrees = (
                same >= count - len(pictures) and score <= SCORES and place <= PLACES and count >= 5 * len(pictures)
            )
        else:
            places, plain_seconds = timed(plain.classes, pictures)
            masks = [result for result in found if isinstance(result, Segmentation)]
            shares = [same_places(one, other) for one, other in zip(masks, places, strict=True)]
            names = len({each.index for result in masks for each in result.shares})
            row += [f"{min(shares):.3%} of places, {names} classes", "", ""]
            agrees = min(shares) >= SAME and names > 1
    return [*row, *seconds, f"{plain_seconds:.2f}"], agrees


def main() -> int:
    """Print the table; the exit status is 1 if the two sides disagree anywhere."""
    networks = [*of_detectors(), *of_segmenters()]
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--small", action="store_true", help="pictures of 320x192, in a fifth of the time")
    options.add_argument("models", nargs="*", default=networks, metavar="MODEL")
    chosen = options.parse_args()
    console = Console(width=140)
    # On cores that others use too, threads that wait for each other are ten times slower.
    torch.set_num_threads(1)
    pictures = [photograph(name).pixels for name in PHOTOGRAPHS]
    headings = ("model", "input", "the same", "score", "place", "s a picture", "torchvision's")
    table, agree = Table(*headings, box=None), True
    for architecture in chosen.models:
        row, agrees = compare(architecture, pictures, reduced=chosen.small)
        print(*row, sep="  ", file=sys.stderr, flush=True)  # noqa: T201 what is known before the table
        table.add_row(*row)
        agree = agree and agrees
    console.print(table)
    console.print(
        f"Boxes may differ by {SCORES:g} in their scores and by {PLACES:g} pixels in their places, masks in 1 % of "
        f"their places: {'none differs more' if agree else 'some differ more'}."
    )
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main())
