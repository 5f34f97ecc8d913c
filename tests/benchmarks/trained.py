"""Serve the models of `tests.benchmarks.training` from a real Kafka: `python -m tests.benchmarks.trained`.

The models are trained first; with `--folder FOLDER`, those that `tests.benchmarks.training --keep FOLDER` has left are
used. The data that were not trained on go through two workers, exactly once; one of them is killed in the middle. Their
counts must equal those of `vision-worker evaluate`. The model of clips is also run frame by frame, as a recurrent one.
That must say the same at the end of each clip, and say the same through Kafka as in one piece.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from tests.benchmarks.training import run_example
from tests.support.through_kafka import Passed, through_kafka
from worker import wire
from worker.app.offline import run_offline
from worker.data.labelled import read_labelled
from worker.data.reading import frames_of
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.local.broker import LocalKafka
from worker.models.build import load_model
from worker.models.manifest import MANIFEST_FILE
from worker.settings import Topics
from worker.tuning.in_force import offline_groups

DATA: Final = {
    "digits": "other-digits",
    "motions": "other-motions",
    "stream": "other-motions",
    "detector": "other-scenes",
}
"""What each model is tested with, below the folder; `stream` is the model of motions, frame by frame."""
CLOSE: Final = 1e-4

Row = tuple[str, str, str, bool]
"""What is compared, both values, and whether they are equal."""


def frames_in(data: Path) -> Iterator[CapturedFrame]:
    """Read labelled data as frames."""
    return frames_of(read_labelled(data, rate=25))


def as_recurrent(clip_model: Path, folder: Path) -> Path:
    """Copy a model of clips as one that goes frame by frame: the weights are the same."""
    shutil.copytree(clip_model, folder, ignore=shutil.ignore_patterns("checkpoint*"))
    document = yaml.safe_load((folder / MANIFEST_FILE).read_text())
    clip = document.pop("clip")
    document |= {"name": "stream", "task": "recurrent", "recurrent": {"rate": clip["rate"], "silence_ms": 1000}}
    (folder / MANIFEST_FILE).write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def evaluated(model: Path, data: Path) -> dict[str, Any]:
    """Return the report of `vision-worker evaluate`."""
    command = [sys.executable, "-m", "worker", "evaluate", str(model), str(data), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def counts_compared(report: Mapping[str, Any], passed: Passed) -> Iterator[Row]:
    """Compare the counts of a report with those of the accuracy topic."""
    if report["task"] == "detect":
        boxes = [each.boxes for each in passed.tallies if each.boxes is not None]
        for name in ("hits", "misses", "false_alarms"):
            counted = sum(getattr(each, name) for each in boxes)
            yield name, str(report["boxes"][name]), str(counted), report["boxes"][name] == counted
        return
    for name in ("seen", "labelled", "correct_top1", "correct_top5"):
        counted = passed.total(name)
        yield name, str(report["accuracy"][name]), str(counted), report["accuracy"][name] == counted


def once_each(passed: Passed) -> Row:
    """Compare how many predictions there are with of how many frames they are."""
    frames = {(each.frame.partition, each.frame.offset) for each in passed.predictions}
    return (
        "predictions, and frames",
        str(len(passed.predictions)),
        str(len(frames)),
        len(passed.predictions) == len(frames),
    )


def in_one_piece(model: Path, data: Path) -> dict[str, wire.Message]:
    """Return what one worker says of the data without Kafka, by frame id."""
    found = list[OutboundRecord]()
    groups = offline_groups(None, model)
    run_offline(frames_in(data), found.append, groups, load_model(groups.model))
    messages = [wire.decode_message(each.value or b"") for each in found if each.topic == Topics().predictions]
    return {each.frame.id: each for each in messages}


def furthest(one: Mapping[str, wire.Message], other: Mapping[str, wire.Message], what: str) -> Row:
    """Compare the probabilities of the frames that the second mapping has."""
    apart = [
        abs(first - second)
        for frame, message in other.items()
        for first, second in zip(_probabilities(one[frame]), _probabilities(message), strict=True)
    ]
    return what, f"{len(other)} frames", f"{max(apart):.1e} apart at most", bool(apart) and max(apart) <= CLOSE


def _probabilities(message: wire.Message) -> Sequence[float]:
    assert isinstance(message, wire.PredictionMessage)
    return [each.probability for each in sorted(message.classes, key=lambda each: each.index)]


def compare(name: str, folder: Path, servers: str, scratch: Path) -> list[Row]:
    """Compare one model's evaluation with what two workers make of the same frames."""
    model, data = folder / f"{'motions' if name == 'stream' else name}-model", folder / DATA[name]
    more: dict[str, dict[str, Any]] = {"sampling": {"idle_ms": 3000}} if name == "motions" else {}
    if name == "stream":
        model = as_recurrent(model, scratch / "stream")
    passed = through_kafka(servers, scratch, model, frames_in(data), keeps_states=name == "stream", **more)
    rows = [*counts_compared(evaluated(model, data), passed), once_each(passed)]
    if name == "stream":
        whole = in_one_piece(model, data)
        rows.append(furthest(whole, {each.frame.id: each for each in passed.predictions}, "Kafka and one piece"))
        rows.append(furthest(whole, in_one_piece(folder / "motions-model", data), "frame by frame, and clips"))
    return rows


def main() -> None:
    """Run what the command line asks for; exit with 1 if an aim is missed or anything is not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="with data and models, or for them")
    parser.add_argument("--only", choices=DATA, help="one of them")
    parser.add_argument("--threads", type=int, help="threads of torch, while it trains")
    asked = parser.parse_args()
    console = Console(highlight=False)
    table = Table(title="evaluate, and two workers of which one is killed")
    for column in ("model", "count", "evaluate", "through Kafka", "equal"):
        table.add_column(column)
    equal = True
    with LocalKafka() as kafka, nullcontext(str(asked.folder)) if asked.folder else TemporaryDirectory() as kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        for name in [asked.only] if asked.only else DATA:
            example = "motions" if name == "stream" else name
            if not (folder / f"{example}-model" / MANIFEST_FILE).exists():
                equal = run_example(example, folder, threads=asked.threads, console=console) and equal
            with TemporaryDirectory() as scratch:
                for what, one, other, same in compare(name, folder, kafka.bootstrap_servers, Path(scratch)):
                    table.add_row(name, what, one, other, "yes" if same else "NO")
                    equal = equal and same
    console.print(table)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
