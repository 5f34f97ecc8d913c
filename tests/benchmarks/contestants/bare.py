"""The limit: decode and model in a bare loop on all cores, without Kafka or anything else around them.

Each core has a thread with a model of its own, and no thread ever waits for another. Batches, allocator and OpenCV are
set as the worker sets them, which is the best that is known. One line of JSON a batch says how many frames and when,
until it is killed: `python -m tests.benchmarks.contestants.bare --help`.
"""

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np

from tests.support.pictures import frame_of
from worker.domain.frames import EncodedFrame
from worker.media.images import limit_opencv_threads
from worker.models.build import PICTURES_A_THREAD, load_model
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.ports import Decode
from worker.settings import Limits, ModelGroup


class Frames:
    """Encoded pictures, round and round, for several threads."""

    def __init__(self, folder: Path) -> None:
        self._pictures = [frame_of(file.read_bytes()) for file in sorted(folder.glob("*.jpg"))]
        self._next = 0
        self._lock = Lock()

    def take(self, count: int) -> list[EncodedFrame]:
        """Return the next so many."""
        with self._lock:
            first, self._next = self._next, self._next + count
        return [self._pictures[number % len(self._pictures)] for number in range(first, first + count)]


def work(frames: Frames, decode: Decode, model: LoadedModel, lines: Lock) -> None:
    """Decode and classify for ever."""
    pixels = np.empty((PICTURES_A_THREAD, *model.input_shape), np.uint8)
    while True:
        for encoded, slot in zip(frames.take(len(pixels)), pixels, strict=True):
            decode(encoded, slot)
        model.run(pixels)
        with lines:
            sys.stdout.write(json.dumps({"at": time.time(), "frames": len(pixels)}) + "\n")
            sys.stdout.flush()


def end_all(failed: threading.ExceptHookArgs) -> None:
    """End the program when a thread fails: the others alone would be measured as if they were all."""
    sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


def main() -> None:
    arguments = _parser().parse_args()
    threading.excepthook = end_all
    limit_opencv_threads(1)
    engine: dict[str, Any] = json.loads(arguments.engine)
    # A stream of its own for each thread: what the settings have inside one model is here side by side.
    group = ModelGroup(path=arguments.model, **{**engine, "streams": 1, "threads": 1})
    frames, lines = Frames(arguments.frames), Lock()
    models = [load_model(group) for _ in range(arguments.cores)]
    for model in models:
        model.warm_up(PICTURES_A_THREAD)
    decode = frame_decoder(models[0].preprocessing, group, max_pixels=Limits().max_pixels)
    threads = [Thread(target=work, args=(frames, decode, model, lines), daemon=True) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--model", type=Path, required=True, help="a folder with a manifest")
    parser.add_argument("--engine", required=True, help="the worker's settings of the group model, as JSON")
    parser.add_argument("--cores", type=int, required=True)
    return parser


if __name__ == "__main__":
    main()
