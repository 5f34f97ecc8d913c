"""`vision-worker export`: a stretch of a topic as a folder of labelled pictures."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from worker.adapters.clocks import wall_clock
from worker.cli.options import AsJson, ConfigFile
from worker.cli.stretch import From, To, Topic, kafka_of, read_stretch
from worker.domain.errors import SettingsError
from worker.domain.times import EventMillis

if TYPE_CHECKING:
    from worker.data.stretch import Guess, Written
    from worker.domain.records import Position
    from worker.settings import Kafka

SHOWN = 3
"""Records that are no frames whose texts are printed."""
LATE_PREDICTIONS_MS = 3_600_000
"""Milliseconds after the end of the stretch in which its predictions are looked for."""


class Layout(StrEnum):
    """How the folder is laid out."""

    CSV = "csv"
    IMAGEFOLDER = "imagefolder"


def export(
    out: Annotated[Path, typer.Argument(help="The folder; it is created, and must be empty.")],
    since: From,
    until: To = None,
    topic: Topic = None,
    layout: Annotated[
        Layout,
        typer.Option(
            help="csv: all pictures, and frames.csv; imagefolder: labelled pictures, a sub-folder each class."
        ),
    ] = Layout.CSV,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="The topic of predictions to be noted; by default that of the settings."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the frames of a stretch of a topic as pictures, with their labels and with what the worker predicted.

    The stretch is that of the records' timestamps. The CSV can be corrected, and then be trained on or evaluated:
    `train OUT`, `evaluate MODEL OUT`.
    """
    from worker.data.stretch import write_stretch
    from worker.media.folder import check_empty
    from worker.settings import Limits

    kafka, topics = kafka_of(config)
    until = wall_clock() if until is None else until
    if since >= until:
        raise SettingsError([f"--from {since} is not before --to {until}: nothing lies between"])
    check_empty(out)
    guesses = _guesses(kafka, predictions or topics.predictions, since, until, asked=predictions is not None)
    records = read_stretch(kafka, topic or topics.frames, since, until)
    by_class = layout is Layout.IMAGEFOLDER
    written = write_stretch(out, records, guesses, by_class=by_class, max_pixels=Limits().max_pixels)
    typer.echo(msgspec.json.encode(written) if as_json else _summary(written, out))


def _guesses(
    kafka: "Kafka", topic: str, since: EventMillis, until: EventMillis, *, asked: bool
) -> "dict[Position, Guess]":
    """Return what was predicted; nothing if there is no topic of predictions and nobody asked for one."""
    from worker.app.cluster import cluster_admin
    from worker.data.stretch import guesses_of

    if not asked and topic not in cluster_admin(kafka).topics([topic]):
        return {}
    return guesses_of(read_stretch(kafka, topic, since, EventMillis(until + LATE_PREDICTIONS_MS)))


def _summary(written: "Written", out: Path) -> str:
    lines = [f"{written.frames} frames, {written.labelled} with a label, {written.predicted} with a prediction: {out}"]
    if written.unlabelled:
        lines.append(f"{written.unlabelled} frames without a label are left out: --layout csv writes them too")
    if written.refused:
        lines.append(f"{len(written.refused)} records are no frames and are left out:")
        lines += [f"  {text}" for text in written.refused[:SHOWN]]
    return "\n".join(lines)
