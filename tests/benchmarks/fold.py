"""Measure what the RNN of a recurrent model costs the loop, a frame: `python -m tests.benchmarks.fold`.

A partition's hidden states take publications with one frame of each camera, and with eight. The features are as many as
MobileNetV2's, and the RNN is a GRU of 128 numbers, as manifests have it by default. The time is that of the thread,
which other programs on the machine do not change much.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

from tests.support.frames import MODEL, a_frame, a_prediction
from worker import wire
from worker.domain.networks import CnnRnnShape, Recurrence
from worker.domain.results import Features, Prediction
from worker.domain.sequences import HiddenState, SequenceRules
from worker.domain.times import EventMillis
from worker.models.cnn_rnn import CnnRnn
from worker.models.recurrent import RecurrentPart
from worker.state.hidden import HiddenStates
from worker.tasks.recurrent import Recurrent

CLASSES: Final = 20
ROUNDS: Final = 200


class _Small(CnnRnn):
    """A network whose backbone is not needed here."""

    def __init__(self, shape: CnnRnnShape, classes: int, features: int) -> None:
        nn.Module.__init__(self)
        kind = nn.GRU if shape.rnn == "gru" else nn.LSTM
        self.rnn = kind(features, shape.hidden, shape.layers, batch_first=True)
        self.classifier = nn.Linear(shape.hidden, classes)
        self._shape = shape


def cost(cameras: int, frames: int, *, features: int = 1280, hidden: int = 128) -> tuple[float, int]:
    """Return the microseconds a frame, staged and settled, and the bytes of a state's record.

    Args:
        cameras: how many go on together.
        frames: of each camera in a publication.
        features: of a frame.
        hidden: numbers that the RNN remembers.
    """
    task = Recurrent([f"class {number}" for number in range(CLASSES)], output="logits", top_k=5)
    network = _Small(CnnRnnShape("mobilenet_v2", hidden=hidden), CLASSES, features)
    part = RecurrentPart(network, task, Recurrence(None, 10_000))
    states = HiddenStates(MODEL, part, SequenceRules(10_000, None, 100_000), task.judge)
    rows, took, size = np.random.default_rng(1).random((64, features), np.float32), list[float](), 0
    for number in range(ROUNDS):
        outcomes = _outcomes(number * frames, cameras, frames, rows)
        began = time.thread_time()
        staged = states.stage(outcomes, committed=0)
        states.settle(staged.saved)
        took.append(time.thread_time() - began)
        (saved, *_) = staged.saved
        if isinstance(saved, HiddenState):
            size = len(wire.render_state("state", saved, published_at=EventMillis(1_700_000_000_000)).value or b"")
    return 1e6 * median(took[ROUNDS // 4 :]) / (cameras * frames), size


def _outcomes(first: int, cameras: int, frames: int, rows: NDArray[np.float32]) -> Sequence[Prediction]:
    return [
        replace(
            a_prediction(
                a_frame(number * cameras + camera, captured_at=40 * number, camera=f"camera-{camera}", label="class 3")
            ),
            result=Features(rows[(number + camera) % len(rows)]),
        )
        for number in range(first, first + frames)
        for camera in range(cameras)
    ]


def main() -> None:
    """Print a table."""
    table = Table("cameras", "frames of each", "hidden", "microseconds a frame", "bytes of a record")
    for hidden in (128, 512):
        for cameras, frames in ((1, 1), (1, 8), (16, 1), (16, 8)):
            took, size = cost(cameras, frames, hidden=hidden)
            table.add_row(*map(str, (cameras, frames, hidden, round(took), size)))
    Console().print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    Console().print(table)


if __name__ == "__main__":
    main()
