"""Labelled data for tests: folders of small pictures whose class shows in their colour."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.support.pictures import PNG
from worker.data.items import Item
from worker.domain.times import EventMillis
from worker.training.options import Options

HUES = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
"""Classes that any network learns in a moment."""


SMALL = Options(
    task="classify",
    model="shufflenet_v2_x0_5",
    weights="none",
    layers="all",
    size=(32, 32),
    epochs=3,
    batch=8,
    threads=1,
    holdout=("camera0",),
)
"""A training of a second."""


def a_picture(seed: int, *, side: int = 40, colour: Sequence[int] = (128, 128, 128)) -> bytes:
    """Return a PNG of noise around a colour; another seed gives another picture."""
    noise = np.random.default_rng(seed).integers(-30, 31, (side, side, 3))
    return PNG(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8))


def write_data(folder: Path, pictures: Mapping[str, int]) -> Path:
    """Write pictures by their names, with the colour of their class folder if it is the name of one."""
    for name, seed in pictures.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(a_picture(seed, colour=HUES.get(name.partition("/")[0], (128, 128, 128))))
    return folder


def coloured(folder: Path, *, cameras: int, pictures: int) -> Path:
    """Write pictures of three classes, each seen by all cameras."""
    names = [
        f"{hue}/camera{camera}/{number}.png" for hue in HUES for camera in range(cameras) for number in range(pictures)
    ]
    return write_data(folder, {name: number for number, name in enumerate(names)})


def an_item(name: str, *, group: str, label: str | None = None, at: int = 0) -> Item:
    """Return an item without a file."""
    return Item(name, group, group, EventMillis(at), label, None, Path(name))
