"""Render the simulated cameras of the sample photographs, one folder per camera, as input for `vision-worker produce`.

The pictures of a camera are in a sub-folder named after what they show; this name is their label.
"""
# ruff: noqa: INP001 - a script, not part of a package

import sys
import tempfile
from pathlib import Path

from worker.local.samples import PHOTOGRAPHS, Photograph, load_photograph
from worker.local.scenes import Scene


def render(photograph: Photograph, folder: Path) -> None:
    """Fill the folder, unless it exists; it appears complete or not at all."""
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
