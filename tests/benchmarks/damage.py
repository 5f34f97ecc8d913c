"""How much damage is noticed: `python -m tests.benchmarks.damage`.

Photographs are encoded, damaged in seeded ways, and decoded. Damage is visible where what OpenCV makes of the picture,
which takes what it can, differs by more than a level from the whole picture, on average over all pixels. No visible
damage should become a prediction; but JPEG and WebP have no checksum, so some does. This program says how much.
"""

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_images

from tests.support.broken_pictures import HARMLESS, LIKELY, SURE
from tests.support.pictures import frame_of
from worker.domain.errors import FrameRejected
from worker.domain.pictures import PictureRules
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.media.images import decode_image

VISIBLE: Final = 1.0
"""Mean difference, in levels of 255."""
SIZE: Final = (640, 480)

Pixels = NDArray[np.uint8]
Damage = Callable[[bytes, bytes, random.Random], bytes]
Key = tuple[str, str]


def _place(picture: bytes, rng: random.Random) -> int:
    return rng.randrange(len(picture) // 10, len(picture) * 9 // 10)


def _lost(least: int, most: int) -> Damage:
    def damage(picture: bytes, _: bytes, rng: random.Random) -> bytes:
        at = _place(picture, rng)
        return picture[:at] + picture[at + rng.randint(least, most) :]

    return damage


def _overwritten(picture: bytes, _: bytes, rng: random.Random) -> bytes:
    at, size = _place(picture, rng), rng.choice([188, 512, 1316])
    return picture[:at] + bytes(size) + picture[at + size :]


def _flipped(bits: int) -> Damage:
    def damage(picture: bytes, _: bytes, rng: random.Random) -> bytes:
        found = bytearray(picture)
        for _each in range(bits):
            found[_place(picture, rng)] ^= 1 << rng.randrange(8)
        return bytes(found)

    return damage


ANY: Final[Mapping[str, Damage]] = {
    "cut": lambda picture, _, rng: picture[: _place(picture, rng)],
    "1 to 100 bytes lost": _lost(1, 100),
    "188 to 1316 bytes lost": _lost(188, 1316),
    "overwritten with zeros": _overwritten,
    "1 bit flipped": _flipped(1),
    "20 bits flipped": _flipped(20),
}
ENCODINGS: Final[Mapping[str, tuple[str, Sequence[int]]]] = {
    "JPEG": (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 85)),
    "JPEG, restart markers": (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_RST_INTERVAL, 40)),
    "JPEG, progressive": (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "PNG": (".png", ()),
    "WebP, lossy": (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
    "WebP, lossless": (".webp", ()),
}


def main(count: Annotated[int, typer.Option(min=1, help="Damaged pictures.")] = 2000, seed: int = 1) -> None:
    """Print how much visible damage is refused, of each encoding and kind, and whether whole pictures are taken."""
    screen = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # OpenCV's decoders say there what they think of these pictures
    photographs, rng = _photographs(), random.Random(seed)  # noqa: S311 repeatable on purpose
    kinds = [(name, kind) for name in ENCODINGS for kind in _damages(name)]
    made, visible, refused = Counter[Key](), Counter[Key](), Counter[Key]()
    for number in range(count):
        name, kind = key = kinds[number % len(kinds)]
        whole, other = (_encode(name, pixels) for pixels in rng.sample(photographs, 2))
        broken = _damages(name)[kind](whole, other, rng)
        made[key] += 1
        if _is_visible(broken, whole):
            visible[key] += 1
            refused[key] += not _is_taken(broken)
    table = Table("encoding", "damage", "made", "visible", "refused of these", box=None)
    for name in ENCODINGS:
        keys = [key for key in kinds if key[0] == name]
        for label, group in [*((key[1], [key]) for key in keys), ("all", keys)]:
            seen, dropped = (sum(counter[key] for key in group) for counter in (visible, refused))
            share = f"{100 * dropped / seen:.1f} %" if seen else "-"
            table.add_row(name, label, str(sum(made[key] for key in group)), str(seen), share)
    console = Console(file=screen, width=110)
    console.print(f"{count} damaged pictures, seed {seed}; visible: mean difference above {VISIBLE}")
    console.print(table)
    lost = _print_whole(console, photographs, rng)
    sys.exit(lost > 0)


def _print_whole(console: Console, photographs: Sequence[Pixels], rng: random.Random) -> int:
    whole = {name: [_encode(name, pixels) for pixels in photographs] for name in ENCODINGS}
    jpegs = whole["JPEG"]
    harmless = [each.make(jpeg, jpegs[0], rng) for jpeg in jpegs for each in HARMLESS.values()]
    pictures = [*harmless, *(picture for each in whole.values() for picture in each)]
    lost = sum(not _is_taken(each) for each in pictures)
    console.print(f"{len(pictures)} pictures that are whole, or lack no pixel: {lost} refused")
    return lost


def _damages(encoding: str) -> Mapping[str, Damage]:
    return {**ANY, **LIKELY, **SURE} if encoding.startswith("JPEG") else ANY


def _photographs() -> list[Pixels]:
    samples = [*(load_photograph(each) for each in PHOTOGRAPHS), *load_sample_images().images]
    return [cv2.resize(each, SIZE, interpolation=cv2.INTER_AREA).astype(np.uint8) for each in samples]


def _encode(name: str, pixels: Pixels) -> bytes:
    extension, options = ENCODINGS[name]
    return cv2.imencode(extension, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _is_visible(broken: bytes, whole: bytes) -> bool:
    found, expected = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in (broken, whole))
    if found is None or expected is None or found.shape != expected.shape:
        return True
    return bool(np.abs(found.astype(int) - expected).mean() > VISIBLE)


def _is_taken(picture: bytes) -> bool:
    try:
        decode_image(frame_of(picture), PictureRules())
    except FrameRejected:
        return False
    return True


if __name__ == "__main__":
    typer.run(main)
