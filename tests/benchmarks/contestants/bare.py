"""The limit: decode and model in a bare loop on all cores, without Kafka or anything else.

Each core has one thread with its own model, and no thread waits for another. Batch size, allocator and OpenCV have the
worker's settings, the best ones known. For each batch it prints one line of JSON with the time and the number of
frames, until it is killed: `python -m tests.benchmarks.contestants.bare --help`.
"""

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from threading import Lock, Thread

import numpy as np

from tests.benchmarks.contestants.core_models import add_options, load_core_models
from tests.support.pictures import frame_of
from worker.domain.frames import EncodedFrame
from worker.models.build import PICTURES_A_THREAD
from worker.models.loaded import LoadedModel
from worker.ports import Decode


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


def work(frames: Frames, decode: Decode, model: LoadedModel, lines: Lock) -> None:
    """Decode and classify without end; the frames of clips come one after the other."""
    pixels = np.empty((samples_a_call(model), *model.input_shape), np.uint8)
    slots = pixels.reshape(-1, *model.frame_shape)
    while True:
        for encoded, slot in zip(frames.take(len(slots)), slots, strict=True):
            decode(encoded, slot)
        model.run(pixels)
        with lines:
            sys.stdout.write(json.dumps({"at": time.time(), "frames": len(pixels)}) + "\n")
            sys.stdout.flush()


def samples_a_call(model: LoadedModel) -> int:
    """Return how many pictures, or clips, a call takes: as many as the worker gives to a thread."""
    return max(1, PICTURES_A_THREAD // model.clip.frames) if model.clip else PICTURES_A_THREAD


def end_all(failed: threading.ExceptHookArgs) -> None:
    """End the program when a thread fails: otherwise the remaining threads would be measured as if they were all."""
    sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


def main() -> None:
    arguments = _parser().parse_args()
    threading.excepthook = end_all
    models, decode = load_core_models(arguments, warm=PICTURES_A_THREAD)
    frames, lines = Frames(arguments.frames), Lock()
    threads = [Thread(target=work, args=(frames, decode, model, lines), daemon=True) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=Path, required=True, help="a folder of JPEGs")
    add_options(parser)
    return parser


if __name__ == "__main__":
    main()
