"""`vision-worker export`: a stretch of a topic as a folder of labelled pictures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from worker.cli.kafka_settings import kafka_and_topics
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile
from worker.cli.stretch import From, To, Topic, stretch_of, summary_of


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
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the frames of a stretch of a topic as pictures, with their labels and with what the worker predicted.

    The stretch is that of the records' timestamps. The CSV can be corrected, and then be trained on or evaluated:
    `train OUT`, `evaluate MODEL OUT`.
    """
    kafka, topics = kafka_and_topics(config, bootstrap_servers, option)
    stretch = stretch_of(kafka, topics, since, until, topic=topic, predictions=predictions)
    by_class = layout is Layout.IMAGEFOLDER
    written = stretch.write(out, by_class=by_class, needs_predictions=predictions is not None)
    typer.echo(msgspec.json.encode(written) if as_json else summary_of(written, out))
