"""The limit: decode and model in bare loops on all cores, without Kafka or anything else.

Each core has a loop in a thread of its own. All loops share a model: with a stream for each core no loop waits for
another, with fewer streams some decode while others have the model. For each call of the model it prints one line of
JSON with the time and the number of frames, until it is killed: `python -m tests.benchmarks.contestants.bare --help`.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import Final

import numpy as np

from tests.benchmarks.contestants.core_models import add_options, load_core_model
from tests.support.pictures import frame_of
from worker.domain.frames import EncodedFrame
from worker.models.loaded import LoadedModel
from worker.ports import Decode

ALL: Final = 100_000
"""More samples than any call takes."""


class Frames:
    """An endless supply of encoded pictures for several threads."""

    def __init__(self, folder: Path) -> None:
        self._pictures = [frame_of(file.read_bytes()) for file in sorted(folder.glob("*.jpg"))]
        self._next = 0
        self._lock = Lock()

    def take(self, count: int) -> list[EncodedFrame]:
        """Return the next pictures."""
        with self._lock:
            first, self._next = self._next, self._next + count
        return [self._pictures[number % len(self._pictures)] for number in range(first, first + count)]


def work(frames: Frames, decode: Decode, model: LoadedModel, samples: int, go_on: Callable[[int], bool]) -> None:
    """Decode and classify `samples` samples a call, as long as `go_on`, which gets this number, returns True."""
    pixels = np.empty((samples, *model.input_shape), np.uint8)
    slots = pixels.reshape(-1, *model.frame_shape)  # the frames of clips come one after the other
    going = True
    while going:
        for encoded, slot in zip(frames.take(len(slots)), slots, strict=True):
            decode(encoded, slot)
        model.run(pixels)
        going = go_on(samples)


def samples_a_call(model: LoadedModel, *, parts: int) -> int:
    """Return how many samples a call takes: those of `parts` parts of the worker's size."""
    full = model.parts(ALL)[0]
    return len(range(full.start, full.stop)) * parts


def end_all(failed: threading.ExceptHookArgs) -> None:
    """End the program when a thread fails: otherwise the remaining threads would be measured as if they were all."""
    sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


def main() -> None:
    arguments = _parser().parse_args()
    threading.excepthook = end_all
    model, decode = load_core_model(arguments)
    samples = samples_a_call(model, parts=arguments.parts)
    model.warm_up(samples)
    frames, lines = Frames(arguments.frames), Lock()

    def tell(count: int) -> bool:
        with lines:
            sys.stdout.write(json.dumps({"at": time.time(), "frames": count}) + "\n")
            sys.stdout.flush()
        return True

    loops = [
        Thread(target=work, args=(frames, decode, model, samples, tell), daemon=True) for _ in range(arguments.cores)
    ]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--parts", type=int, default=1, help="parts of the worker's size in a call")
    add_options(parser)
    return parser


if __name__ == "__main__":
    main()
