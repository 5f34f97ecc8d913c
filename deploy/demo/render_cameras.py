"""Render the simulated cameras of the sample photographs into a folder each: what `vision-worker produce` reads.

The pictures of a camera lie in a sub-folder that is named like what they show, which makes it their label.
"""
# ruff: noqa: INP001 - a script of its own, in no package

import sys
import tempfile
from pathlib import Path

from worker.local.samples import PHOTOGRAPHS, Photograph, load_photograph
from worker.local.scenes import Scene


def render(photograph: Photograph, folder: Path) -> None:
    """Fill the folder, unless it is there already; it appears whole or not at all."""
    if folder.exists():
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pictures = Path(scratch, folder.name, photograph.label)
        pictures.mkdir(parents=True)
        for number, jpeg in enumerate(Scene(load_photograph(photograph), photograph.seed).frames()):
            (pictures / f"{number:04}.jpg").write_bytes(jpeg)
        pictures.parent.rename(folder)


if __name__ == "__main__":
    cameras = Path(sys.argv[1])
    cameras.mkdir(parents=True, exist_ok=True)
    for each in PHOTOGRAPHS:
        render(each, cameras / each.name)
