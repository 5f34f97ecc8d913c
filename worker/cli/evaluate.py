"""`vision-worker evaluate`: how good a model is on labelled data, and where it is wrong."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer
from rich.console import Console

from worker import wire
from worker.cli.offline import dead_letter_of, offline_groups, record_of, run_offline
from worker.cli.options import AsJson, ConfigFile
from worker.cli.progress import progress_bar
from worker.domain.errors import SettingsError
from worker.domain.pictures import PictureRules
from worker.domain.records import OutboundRecord
from worker.domain.times import Monotonic
from worker.media.folder import check_empty
from worker.settings import Topics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from worker.data.items import Item
    from worker.evaluation.box_report import Detecting
    from worker.evaluation.named_report import Naming
    from worker.evaluation.report import Evaluated
    from worker.evaluation.reports import Found
    from worker.models.manifest import Manifest
    from worker.settings.offline import Groups

T = TypeVar("T")

LOWEST = 0.05
"""Score from which on a detector's boxes are asked for: average precision also counts those that are not reported."""


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a model, or a name of `models list`.")],
    data: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A folder with a folder of pictures or videos for each class; or with a frames.csv; or such a CSV.",
        ),
    ],
    rate: Annotated[float, typer.Option(min=0.001, help="Pictures per second if no capture time is recorded.")] = 25.0,
    against: Annotated[str | None, typer.Option(metavar="MODEL", help="Compare with this model.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, charts, and a sheet of the surest mistakes.")
    ] = None,
    most: Annotated[int, typer.Option("--mistakes", min=0, max=200, help="Surest mistakes to show.")] = 20,
    config: ConfigFile = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Run a model over labelled data as the worker does, and print its accuracy, by class too, and its mistakes.

    The counts are those that the accuracy topic would tell of the same frames.
    """
    from worker.data.labelled import read_labelled
    from worker.evaluation.reports import report_of
    from worker.evaluation.summary import summary_of

    if out is not None:
        check_empty(out)
    items = read_labelled(data, rate=rate)
    groups = offline_groups(config, model)
    found = _run(groups, items)
    rival = _run(offline_groups(config, against), items) if against else None
    report = report_of(found, rival, data=str(data), most=most)
    if out is not None:
        from worker.evaluation.files import write_report
        from worker.models.preparation import picture_rules

        write_report(out, report, found, partial(_pictures, items, picture_rules(groups.limits, groups.model)))
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console(highlight=False).print(summary_of(report), markup=False)


@dataclass(slots=True)
class _Published:
    """What the worker has published so far; predictions are kept as bytes."""

    topics: Topics
    predictions: list[bytes] = field(default_factory=list)
    accuracy: dict[bytes | None, bytes] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, record: OutboundRecord) -> None:
        """Take a published record."""
        value = record.value or b""
        if record.topic == self.topics.predictions:
            self.predictions.append(value)
        elif record.topic == self.topics.accuracy:
            self.accuracy[record.key] = value
        elif record.topic == self.topics.skipped:
            self.skipped.append(wire.decode_skipped(value).reason)
        else:
            self.rejected.append(dead_letter_of(record).reason)

    def messages(self, kind: type[T]) -> Iterator[T]:
        """Yield the predictions of a kind."""
        decoded = (wire.decode_message(each) for each in self.predictions)
        return (each for each in decoded if isinstance(each, kind))


def _run(groups: "Groups", items: Sequence["Item"]) -> "Found":
    """Run a model over the frames, and return what the worker published."""
    from worker.data.reading import frames_of
    from worker.models.build import build_model, find_manifest

    manifest = find_manifest(groups.model)
    if manifest.task not in {"classify", "multi_label", "clip", "recurrent", "detect"}:
        raise SettingsError([f"a model of the task {manifest.task} cannot be evaluated: there is no measure for it"])
    asked = replace(manifest, threshold=LOWEST) if manifest.task == "detect" else manifest
    published, loaded = _Published(Topics(skipped="skipped")), build_model(asked, groups.model)
    with progress_bar() as progress:
        frames = frames_of(progress.track(items, description=f"predicting with {manifest.name}"))
        run_offline(frames, published.add, groups, published.topics, loaded)
    if manifest.task == "detect":
        return _detecting(manifest, published)
    if manifest.task == "multi_label":
        return _naming(manifest, published, [item.group for item in items])
    return _evaluated(manifest, published, [item.group for item in items])


def _evaluated(manifest: "Manifest", published: _Published, groups: Sequence[str]) -> "Evaluated":
    from worker.evaluation.judged import judged
    from worker.evaluation.report import Evaluated

    return Evaluated(
        model=manifest.identity,
        task=manifest.task,
        labels=manifest.labels,
        rows=[
            replace(row, camera=groups[row.offset])
            for row in judged(published.messages(wire.PredictionMessage), manifest.labels)
        ],
        accuracy=[wire.decode_accuracy(each) for each in published.accuracy.values()],
        rejected=published.rejected,
        skipped=published.skipped,
    )


def _naming(manifest: "Manifest", published: _Published, groups: Sequence[str]) -> "Naming":
    from worker.evaluation.named_report import Naming, named_rows

    return Naming(
        model=manifest.identity,
        labels=manifest.labels,
        rows=[
            replace(row, camera=groups[row.offset]) for row in named_rows(published.messages(wire.MultiLabelMessage))
        ],
        accuracy=[wire.decode_accuracy(each) for each in published.accuracy.values()],
        rejected=published.rejected,
        skipped=published.skipped,
    )


def _detecting(manifest: "Manifest", published: _Published) -> "Detecting":
    from worker.evaluation.box_report import Detecting
    from worker.evaluation.boxes import looked_at

    return Detecting(
        model=manifest.identity,
        labels=manifest.labels,
        threshold=manifest.threshold,
        seen=len(published.predictions),
        rows=list(looked_at(published.messages(wire.DetectionMessage))),
        rejected=published.rejected,
        skipped=published.skipped,
    )


def _pictures(items: Sequence["Item"], rules: PictureRules, offsets: Collection[int]) -> dict[int, "NDArray[np.uint8]"]:
    """Return the pictures at these offsets; they were decoded before, so they can be."""
    from worker.data.reading import frames_of
    from worker.media.images import decode_image

    wanted, found = sorted(offsets), {}
    for offset, frame in zip(wanted, frames_of(items[offset] for offset in wanted), strict=True):
        record = record_of(offset, frame)
        encoded = wire.parse_frame(record, arrived_at=frame.captured_at, arrived=Monotonic(0.0))
        found[offset] = decode_image(encoded, rules).pixels
    return found
