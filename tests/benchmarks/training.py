"""Train on three sets of data, and see how good the models are: `python -m tests.benchmarks.training`.

- digits: 4,000 handwritten digits; tested on 1,000 others.
- motions: which way a camera moves over photographs; tested on photographs that were not trained on.
- detector: three objects on photographs; tested on photographs that were not trained on.

Each runs the command that it prints. `--only digits` runs one of them; `--threads 1` is faster on a machine that has
other work; `--keep FOLDER` keeps data and models.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.support.digits import write_digits
from tests.support.motions import SEEN, UNSEEN, write_motions
from tests.support.objects import BACKGROUNDS, write_scenes
from tests.support.objects import UNSEEN as OTHER_BACKGROUNDS

FROM_SCRATCH: Final = ("--weights", "none", "--layers", "all")


@dataclass(frozen=True, slots=True)
class Example:
    """One training.

    Attributes:
        write: writes the data to a folder; returns what is learned from, and what is tested with.
        options: of `vision-worker train`.
        aims: the least value of each figure.
    """

    write: Callable[[Path], tuple[Path, Path]]
    options: tuple[str, ...]
    aims: dict[str, float]


def _digits(folder: Path) -> tuple[Path, Path]:
    return write_digits(folder / "digits", each=400), write_digits(folder / "other-digits", each=100, first=400)


def _motions(folder: Path) -> tuple[Path, Path]:
    seen = write_motions(folder / "motions", SEEN, each=50)
    return seen, write_motions(folder / "other-motions", UNSEEN, each=20, seed=1)


def _scenes(folder: Path) -> tuple[Path, Path]:
    seen = write_scenes(folder / "scenes", BACKGROUNDS, each=50)
    return seen, write_scenes(folder / "other-scenes", OTHER_BACKGROUNDS, each=20, seed=1)


EXAMPLES: Final = {
    "digits": Example(
        _digits,
        ("--model", "resnet18", "--size", "28", *FROM_SCRATCH, "--epochs", "8"),
        {"accuracy": 0.975},
    ),
    "motions": Example(
        _motions,
        (
            *("--task", "clip", "--frames", "8", "--rate", "10", "--size", "48"),
            *("--model", "cnn_rnn", "--backbone", "mobilenet_v2", "--layer", "features.3", "--grid", "6"),
            *("--layers", "all", "--epochs", "5", "--batch", "16"),
        ),
        {"accuracy": 0.95},
    ),
    "detector": Example(
        _scenes,
        (
            *("--task", "detect", "--model", "ssdlite320_mobilenet_v3_large"),
            *(*FROM_SCRATCH, "--epochs", "5", "--batch", "4", "--warmup", "0.2", "--threshold", "0.9"),
        ),
        {"precision": 0.8, "recall": 0.8},
    ),
}


def figures_of(folder: Path) -> dict[str, Any]:
    """Return accuracy, or precision and recall, of a trained folder, each with its interval."""
    held_out = json.loads((folder / "card.json").read_text())["held_out"]
    names = {"accuracy": "accuracy_share", "precision": "precision", "recall": "recall"}
    return {name: held_out[key] for name, key in names.items() if key in held_out}


def run_example(name: str, folder: Path, *, threads: int | None, console: Console) -> bool:
    """Train one of the examples, print its figures, and tell whether they reach the aims."""
    example = EXAMPLES[name]
    data, test = example.write(folder)
    limited = ("--threads", str(threads)) if threads else ()
    arguments = [
        "train",
        str(data),
        "--test",
        str(test),
        *example.options,
        *limited,
        "--out",
        str(folder / f"{name}-model"),
    ]
    console.print(f"vision-worker {shlex.join(arguments)}", markup=False, soft_wrap=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "worker", *arguments], check=True)
    minutes = (time.monotonic() - began) / 60
    found = figures_of(folder / f"{name}-model")
    reached = all(found[figure]["value"] >= least for figure, least in example.aims.items())
    for figure, value in found.items():
        aim = f"aim {example.aims[figure]:.1%}" if figure in example.aims else ""
        console.print(f"{name}: {figure} {value['value']:.1%} ({value['right']} of {value['total']}); {aim}")
    console.print(f"{name}: {minutes:.1f} minutes; {'reached' if reached else 'NOT REACHED'}", "")
    return reached


def main() -> None:
    """Run what the command line asks for; exit with 1 if an aim was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=EXAMPLES, help="run one of them")
    parser.add_argument("--threads", type=int, help="threads of torch")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps data and models")
    asked = parser.parse_args()
    console = Console(highlight=False)
    with nullcontext(str(asked.keep)) if asked.keep else tempfile.TemporaryDirectory() as scratch:
        Path(scratch).mkdir(parents=True, exist_ok=True)
        chosen = [asked.only] if asked.only else list(EXAMPLES)
        reached = [run_example(name, Path(scratch), threads=asked.threads, console=console) for name in chosen]
    sys.exit(0 if all(reached) else 1)


if __name__ == "__main__":
    main()
