"""Which commands go on from a demo, written as this visitor types them?"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Next(NamedTuple):
    """A command, and what it is good for."""

    why: str
    command: str


def next_commands(program: str, *, killed: bool, stays: str | None) -> list[Next]:
    """Return three commands that work after a demo.

    Args:
        program: how `vision-worker` is started here.
        killed: whether the demo has killed a worker.
        stays: the topic of the demo's predictions, if their Kafka outlives the demo; else None.
    """
    first = (
        Next("Compare each answer with a plain torchvision loop:", f"{program} demo --verify")
        if killed
        else Next("See what happens when a worker is killed:", f"{program} demo --kill-a-worker")
    )
    second = (
        Next(
            "Read the predictions, which are still in Kafka:",
            f"{program} tail predictions --from-beginning --topic {stays}",
        )
        if stays
        else Next("Start a Kafka that stays:", f"{program} kafka up")
    )
    return [
        first,
        second,
        Next("Ask the same model about your own pictures:", f"{program} replay FOLDER --model mobilenet_v2"),
    ]


def program_name(arguments: Sequence[str], folder: Path) -> str:
    """Return how the running program was started, as short as it works from this folder.

    Args:
        arguments: those of the process, `sys.argv`.
        folder: the absolute path of the current folder.
    """
    started = Path(arguments[0])
    if started.name == "__main__.py":
        return f"{_from(folder, Path(sys.executable))} -m worker"
    if (found := shutil.which(started.name)) and Path(found) == folder / started:
        return started.name
    return _from(folder, started)


def _from(folder: Path, file: Path) -> str:
    path = folder / file
    short = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
    return shlex.quote(short if os.sep in short else f".{os.sep}{short}")  # a shell looks for a bare name in PATH only
