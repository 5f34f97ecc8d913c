"""`vision-worker evaluate`: how good a model is on labelled data, and where it is wrong."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer
from rich.console import Console

from worker import wire
from worker.cli.options import AsJson, ConfigFile
from worker.cli.progress import progress_bar
from worker.cli.published import Published, evaluated, naming
from worker.domain.errors import SettingsError
from worker.domain.pictures import PictureRules
from worker.domain.times import Monotonic
from worker.media.folder import check_empty

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from worker.data.items import Item
    from worker.evaluation.box_report import Detecting
    from worker.evaluation.reports import Found
    from worker.models.manifest import Manifest
    from worker.settings.offline import Groups

T = TypeVar("T")

LOWEST = 0.05
"""Score from which on a detector's boxes are asked for: average precision also counts those that are not reported."""


def evaluate(
    model: Annotated[str, typer.Argument(help="A name of `models list`, the folder of a model, or its manifest.")],
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
    from worker.tuning.in_force import offline_groups

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


def _run(groups: "Groups", items: Sequence["Item"]) -> "Found":
    """Run a model over the frames, and return what the worker published."""
    from worker.app.offline import run_offline
    from worker.data.reading import frames_of
    from worker.models.build import build_model, find_manifest

    manifest = find_manifest(groups.model)
    if manifest.task not in {"classify", "multi_label", "clip", "recurrent", "detect"}:
        raise SettingsError([f"a model of the task {manifest.task} cannot be evaluated: there is no measure for it"])
    asked = replace(manifest, threshold=LOWEST) if manifest.task == "detect" else manifest
    published, loaded = Published(), build_model(asked, groups.model)
    with progress_bar() as progress:
        frames = frames_of(progress.track(items, description=f"predicting with {manifest.name}"))
        run_offline(frames, published.add, groups, loaded, published.topics)
    if manifest.task == "detect":
        return _detecting(manifest, published)
    if manifest.task == "multi_label":
        return naming(manifest, published, [item.group for item in items])
    return evaluated(manifest, published, [item.group for item in items])


def _detecting(manifest: "Manifest", published: Published) -> "Detecting":
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
    from worker.app.offline import record_of
    from worker.data.reading import frames_of
    from worker.media.images import decode_image

    wanted, found = sorted(offsets), {}
    for offset, frame in zip(wanted, frames_of(items[offset] for offset in wanted), strict=True):
        record = record_of(offset, frame)
        encoded = wire.parse_frame(record, arrived_at=frame.captured_at, arrived=Monotonic(0.0))
        found[offset] = decode_image(encoded, rules).pixels
    return found
