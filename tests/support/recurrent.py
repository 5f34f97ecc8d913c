"""A recurrent model that is easy to verify, what it must say by hand, and a real one with its manifest.

Each frame halves what is remembered and adds a half for its colour. So the class of a frame is the colour that was seen
most, the last frames counting most.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from tests.support.colours import COLOURS, ColourModel
from worker.app.compose import EACH_FRAME_ALONE, Sampling
from worker.domain.arrays import Arrays
from worker.domain.clips import ClipShape, Slots
from worker.domain.networks import Cell, CnnRnnShape, Recurrence
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import Classification, ScoredClass
from worker.domain.sequences import SequenceRules
from worker.models.cnn_rnn import CnnRnn
from worker.models.manifest import write_manifest
from worker.ports import Stepped
from worker.sampling.at_rate import AtRate
from worker.state.hidden import HiddenStates
from worker.tasks.recurrent import Recurrent

NAMES: Final = tuple(COLOURS)


class SequenceModel(ColourModel):
    """Implements `ports.Model`: the features of a picture are its share of each colour, which is 1 for the closest."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.task = Recurrent(NAMES, output="probabilities", top_k=len(NAMES))  # type: ignore[assignment]

    def run(self, pixels: NDArray[np.uint8]) -> Arrays:
        indices = super().run(pixels)["indices"][:, 0]
        return {"features": np.eye(len(NAMES), dtype=np.float32)[indices]}


class Halving:
    """Implements `ports.Recurrent`.

    Attributes:
        rounds: how many cameras each step had.
    """

    state_size = len(NAMES)
    recurrence = Recurrence(None, 1_000)

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def step(self, features: NDArray[np.float32], states: NDArray[np.float32]) -> Stepped:
        self.rounds.append(len(features))
        after = ((states + features) / 2).astype(np.float32)
        return Stepped(after, after)

    def classify(self, scores: NDArray[np.float32]) -> list[Classification]:
        found = []
        for row in scores.tolist():
            ranking = tuple(sorted(range(len(row)), key=lambda index, row=row: -row[index]))  # type: ignore[misc]
            classes = tuple(ScoredClass(index, NAMES[index], row[index]) for index in ranking)
            found.append(Classification(classes, ranking))
        return found


@dataclass(frozen=True, slots=True)
class Rules:
    """How sequences are made, in plain numbers."""

    silence_ms: int = 1_000
    rate: float | None = None
    span: int = 1_000

    def sampling(self) -> Sampling:
        rate = self.rate
        return Sampling(lambda _: AtRate(rate)) if rate else EACH_FRAME_ALONE

    def make_hidden(
        self, recurrent: Halving | None = None, kind: type[HiddenStates] = HiddenStates
    ) -> Callable[[], HiddenStates]:
        rules = SequenceRules(self.silence_ms, Slots(self.rate) if self.rate else None, self.span)
        model = SequenceModel()
        return lambda: kind(model.identity, recurrent or Halving(), rules, model.task.judge)


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame as it is read; without a colour, its picture is damaged."""

    offset: int
    camera: str
    at: int
    colour: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """What is published of a frame, or why nothing is.

    Attributes:
        shares: of each colour, for a prediction.
        skipped: the reason; None for a prediction or a dead letter.
    """

    steps: int = 0
    shares: tuple[float, ...] = ()
    skipped: str | None = None

    @property
    def best(self) -> str:
        """The class that is most likely; of equals the first."""
        return NAMES[max(range(len(NAMES)), key=lambda index: self.shares[index])]


def sequences_by_hand(frames: Iterable[Seen], rules: Rules) -> Mapping[int, Said]:
    """Return, by offset, what becomes of the frames of one partition whose headers can be read."""
    said, by_camera = dict[int, Said](), dict[str, list[Seen]]()
    for frame in sorted(frames, key=lambda each: each.offset):
        by_camera.setdefault(frame.camera, []).append(frame)
    for mine in by_camera.values():
        slot, last, steps, shares = -1, None, 0, (0.0,) * len(NAMES)
        for frame in mine:
            if rules.rate:
                now = math.floor(Fraction(frame.at, 1000) * Fraction(rules.rate))
                if now <= slot:
                    said[frame.offset] = Said(skipped="over-rate")
                    continue
                slot = now
            elif frame.colour is None:
                said[frame.offset] = Said()
                continue
            far = last is not None and (
                abs(frame.at - last.at) > rules.silence_ms or frame.offset > last.offset + rules.span
            )
            if last is not None and not far and frame.at <= last.at:
                said[frame.offset] = Said(skipped="duplicate" if frame.at == last.at else "late")
                continue
            if far:
                steps, shares = 0, (0.0,) * len(NAMES)
            last = frame
            if frame.colour is None:
                said[frame.offset] = Said()
                continue
            steps += 1
            added = [name == frame.colour for name in NAMES]
            shares = tuple((share + more) / 2 for share, more in zip(shares, added, strict=True))
            said[frame.offset] = Said(steps, shares)
    return said


def write_recurrent_model(
    folder: Path,
    *,
    task: str = "recurrent",
    rnn: Cell = "gru",
    frames: int = 6,
    rate: float | None = None,
    silence_ms: int = 10_000,
) -> Path:
    """Write a small CNN + RNN with drawn weights, as a stream's model or as that of clips, and return its folder.

    The weights of both are the same. They are large, so that what it says depends much on every frame.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = CnnRnnShape("squeezenet1_1", rnn, hidden=6, layers=2, layer="features.5", grid=2)
    torch.manual_seed(7)
    network = CnnRnn(shape, classes=4)
    for name, weights in network.named_parameters():
        if not name.startswith("backbone"):
            weights.data *= 3
    file = folder / "weights.pth"
    torch.save(network.state_dict(), file)
    parts = {"backbone": shape.backbone, "rnn": rnn, "hidden": 6, "layers": 2, "layer": "features.5", "grid": 2}
    numbers = Preprocessing(
        resize=32, crop=32, interpolation="bilinear", antialias=True, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2)
    )
    write_manifest(
        folder,
        {"name": "sequence", "architecture": "cnn_rnn", "network": parts, "weights": file.name},
        labels=["calm", "wave", "fall", "run"],
        preprocessing=numbers,
        task="recurrent" if task == "recurrent" else "clip",
        clip=ClipShape(frames, 10.0) if task == "clip" else None,
        recurrence=Recurrence(rate, silence_ms) if task == "recurrent" else None,
    )
    return folder


def moving_pictures(count: int, seed: int = 0) -> Sequence[NDArray[np.uint8]]:
    """Return what a camera sees that moves over coarse blocks of colours, 32x32 each."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, count + 4, 3), np.uint8)
    whole = np.kron(blocks, np.ones((8, 16, 1), np.uint8))
    return [whole[:, 11 * number : 11 * number + 32] for number in range(count)]
