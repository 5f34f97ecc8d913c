"""`vision-worker evaluate`: how good a model is on labelled data, and where it is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from worker import wire
from worker.cli.offline import dead_letter_of, offline_groups, read_frames, record_of, run_offline
from worker.cli.options import AsJson, ConfigFile
from worker.cli.progress import progress_bar
from worker.domain.errors import SettingsError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.domain.times import EventMillis, Monotonic
from worker.media.folder import RECORDING
from worker.settings import Topics

if TYPE_CHECKING:
    from worker.evaluation.report import ClassReport, Evaluated
    from worker.settings.offline import Groups

Read = Callable[[], Iterator[CapturedFrame]]


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a model, or a name of `models list`.")],
    data: Annotated[Path, typer.Argument(exists=True, help="Labelled pictures: a folder or a video file.")],
    labels: Annotated[
        Path | None, typer.Option(help=f"CSV of labels; by default {RECORDING} of the folder, if it is there.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Camera id; default: from the files.")] = None,
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
    from worker.media.folder import check_empty

    if out is not None:
        check_empty(out)
    if labels is None and (data / RECORDING).is_file():
        labels = data / RECORDING
    read: Read = partial(read_frames, data, labels=labels, camera=camera, rate=rate)
    found = _run(offline_groups(config, model), read)
    rival = _run(offline_groups(config, against), read) if against else None

    from worker.evaluation.report import class_report, with_rival
    from worker.evaluation.summary import summary_of

    report = class_report(found, data=str(data), most=most)
    if rival is not None:
        report = with_rival(report, found, rival)
    if out is not None:
        _write(out, report, found, read)
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console(highlight=False).print(summary_of(report), markup=False)


@dataclass(slots=True)
class _Published:
    """What the worker publishes, as it comes; messages are kept as bytes."""

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


def _run(groups: "Groups", read: Read) -> "Evaluated":
    """Run a model over the frames, and return what the worker published."""
    from worker.evaluation.judged import judged
    from worker.evaluation.report import Evaluated
    from worker.models.build import find_manifest

    manifest = find_manifest(groups.model)
    if manifest.task not in {"classify", "clip", "recurrent"}:
        raise SettingsError([f"a model of the task {manifest.task} cannot be evaluated: it predicts no classes"])
    published = _Published(Topics(skipped="skipped"))
    with progress_bar() as progress:
        run_offline(
            progress.track(read(), description=f"predicting with {manifest.name}"),
            published.add,
            groups,
            published.topics,
        )
    messages = map(wire.decode_message, published.predictions)
    return Evaluated(
        model=manifest.identity,
        task=manifest.task,
        labels=manifest.labels,
        rows=list(judged((each for each in messages if isinstance(each, wire.PredictionMessage)), manifest.labels)),
        accuracy=[wire.decode_accuracy(each) for each in published.accuracy.values()],
        rejected=published.rejected,
        skipped=published.skipped,
    )


def _write(out: Path, report: "ClassReport", found: "Evaluated", read: Read) -> None:
    """Write the report and what belongs to it."""
    import csv

    from worker.evaluation.classes import confusion, frames_by_pair
    from worker.evaluation.plots import plot_calibration, plot_confusion

    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    counted = confusion(found.rows, len(found.labels))
    with (out / "confusion.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("label", "predicted", "frames"))
        # Few of many pairs occur: a thousand classes have a million.
        table.writerows(astuple(each) for each in frames_by_pair(counted, found.labels))
    plot_confusion(out / "confusion.png", counted, found.labels)
    plot_calibration(out / "calibration.png", report.calibration)
    if report.mistakes:
        _write_sheet(out / "mistakes.jpg", report, read)


def _write_sheet(file: Path, report: "ClassReport", read: Read) -> None:
    import cv2

    from worker.evaluation.sheet import Tile, contact_sheet
    from worker.media.images import decode_image

    wanted = {each.offset: each for each in report.mistakes}
    tiles = {}
    for offset, frame in enumerate(read()):
        if offset in wanted:
            record = record_of(offset, frame)
            encoded = wire.parse_frame(record, arrived_at=EventMillis(0), arrived=Monotonic(0.0))
            mistake = wanted[offset]
            title = f"{mistake.label}, not {mistake.predicted}"
            note = f"{100 * mistake.probability:.0f} % sure; {mistake.frame}"
            tiles[offset] = Tile(decode_image(encoded, max_pixels=2**31).pixels, title, note)
    sheet = contact_sheet(tiles[offset] for offset in wanted if offset in tiles)
    cv2.imwrite(str(file), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
