"""`vision-worker replay`: run the same pipeline on files, without Kafka."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console, Group, RenderableType

from worker import wire
from worker.adapters.clocks import monotonic_clock
from worker.cli.offline import FileSource, open_source
from worker.cli.options import ConfigFile, ModelName
from worker.cli.progress import progress_bar
from worker.cli.published import Published, Refusal, evaluated, naming
from worker.domain.records import OutboundRecord
from worker.ops.logs import configure_logs
from worker.settings import Topics

if TYPE_CHECKING:
    from worker.models.manifest import Manifest

MISTAKES: Final = 10
"""Surest mistakes that the summary lists; `evaluate` lists more."""
REFUSALS: Final = 5
"""Dead letters that the summary lists."""


def replay(
    source: Annotated[Path, typer.Argument(exists=True, help="A folder of pictures, or a video file.")],
    config: ConfigFile = None,
    model: ModelName = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of labels and recorded headers; default: sub-folders that are named after classes."),
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Camera id; default: from the files.")] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Pictures per second if no capture time is recorded.")] = 25.0,
    as_json: Annotated[  # noqa: FBT002 a flag
        bool, typer.Option("--json", help="Print JSON lines, as without a terminal: what a worker would publish.")
    ] = False,
) -> None:
    """Run the worker's pipeline on files, and print a summary of its predictions.

    Where the output is a file or a pipe, or with --json, it prints the predictions, dead letters and final accuracy
    that a worker would publish, as JSON lines. Only the settings of model, sampling, window and limits are used; no
    broker is needed.
    """
    from worker.app.offline import run_offline
    from worker.models.build import build_model, find_manifest
    from worker.tuning.in_force import offline_groups

    groups = offline_groups(config, model)
    manifest = find_manifest(groups.model)
    found = open_source(source, labels=labels, camera=camera, rate=rate, classes=manifest.labels)
    loaded = build_model(manifest, groups.model)
    if as_json or not sys.stdout.isatty():
        if found.note:
            typer.echo(found.note, err=True)
        lines = _Lines()
        run_offline(found.frames(), lines.add, groups, loaded)
        lines.end()
        return
    configure_logs(level="error", json=False)  # the summary tells of dead letters
    published = Published()
    began = monotonic_clock()
    with progress_bar() as progress:
        frames = progress.track(found.frames(), total=found.count, description=f"predicting with {manifest.name}")
        run_offline(frames, published.add, groups, loaded, published.topics)
        count = round(progress.tasks[0].completed)
    seconds = max(monotonic_clock() - began, 0.001)
    console = Console(highlight=False)
    console.print(f"{manifest.identity} ({manifest.task}) on {source}", markup=False)
    console.print(f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} a second", markup=False)
    console.print(Group(*summary_of(manifest, found, published)), markup=False)
    console.print("\nevery prediction: add --json", markup=False)


class _Lines:
    """Prints what is published as JSON lines, of accuracy the last of each key."""

    def __init__(self) -> None:
        self._topics = Topics()
        self._accuracy = dict[bytes | None, OutboundRecord]()

    def add(self, record: OutboundRecord) -> None:
        """Print a record; keep accuracy for the end."""
        if record.topic == self._topics.accuracy:
            self._accuracy[record.key] = record
        else:
            sys.stdout.buffer.write(self._line(record))

    def end(self) -> None:
        """Print what was kept."""
        for record in self._accuracy.values():
            sys.stdout.buffer.write(self._line(record))
        sys.stdout.flush()

    def _line(self, record: OutboundRecord) -> bytes:
        kind = {self._topics.predictions: "prediction", self._topics.accuracy: "accuracy"}.get(
            record.topic, "dead_letter"
        )
        if kind == "dead_letter":
            return msgspec.json.encode({kind: wire.parse_dead_letter(record)}) + b"\n"
        return msgspec.json.encode({kind: msgspec.Raw(record.value or b"null")}) + b"\n"


def summary_of(manifest: "Manifest", found: FileSource, published: Published) -> Iterator[RenderableType]:
    """Yield what a person should know: which files were refused, and how good the model is or what it says."""
    from worker.evaluation.named_report import named_report
    from worker.evaluation.overview import overview_of
    from worker.evaluation.report import class_report
    from worker.evaluation.summary import sections_of

    if found.note:
        yield found.note
    if published.refused:
        yield from _refused(published.refused)
    if published.skipped:
        yield f"skipped: {_counted(published.skipped)}"
    labelled = sum(each.labelled for each in published.tallies)
    if labelled and manifest.task in {"classify", "clip", "recurrent"}:
        yield from sections_of(class_report(evaluated(manifest, published, found.alone), data="", most=MISTAKES))
    elif labelled and manifest.task == "multi_label":
        yield from sections_of(named_report(naming(manifest, published, found.alone), data="", most=MISTAKES))
    elif published.predictions:
        yield from overview_of([wire.decode_message(each) for each in published.predictions])
    else:
        yield "there is no prediction"


def _refused(refused: list[Refusal]) -> Iterator[str]:
    yield f"dead letters: {_counted([each.reason for each in refused])}"
    for each in refused[:REFUSALS]:
        yield f"  {each.frame}: {each.text}"
    if len(refused) > REFUSALS:
        yield f"  and {len(refused) - REFUSALS} more: --json prints them"


def _counted(reasons: list[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).items())
