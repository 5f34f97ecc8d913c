"""A stretch of a topic: the options that name it, and how it becomes a folder. `export` and `train` share them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.adapters.clocks import wall_clock
from worker.cli.options import parse_time
from worker.domain.errors import SettingsError
from worker.domain.pictures import PictureRules
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.media.folder import check_empty
from worker.settings import Kafka, Topics

if TYPE_CHECKING:
    from worker.data.stretch import Guess, Written

LATE_PREDICTIONS_MS = 3_600_000
"""Milliseconds after the end of a stretch in which its predictions are looked for."""
SHOWN = 3
"""Records that are no frames whose texts are printed."""


_FORMATS = "ISO 8601 in UTC, or an age such as 2h"
Topic = Annotated[str | None, typer.Option(help="The topic of frames; by default that of the settings.")]
From = Annotated[
    Any,
    typer.Option("--from", parser=parse_time, metavar="TIME", help=f"Records written from then on: {_FORMATS}."),
]
To = Annotated[
    Any,
    typer.Option("--to", parser=parse_time, metavar="TIME", help=f"Records written before: {_FORMATS}; default: now."),
]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The records of a topic that were written in a stretch of time.

    Attributes:
        topic: of frames.
        predictions: the topic of what was predicted.
        since: the first moment that belongs to it.
        until: the first moment after it.
    """

    kafka: Kafka
    topic: str
    predictions: str
    since: EventMillis
    until: EventMillis

    def write(self, folder: Path, *, by_class: bool = False, needs_predictions: bool = False) -> "Written":
        """Write the frames as pictures and a CSV, with what was predicted, into an empty folder.

        Args:
            folder: is created.
            by_class: a sub-folder for each label.
            needs_predictions: it is an error if there is no topic of predictions.

        Raises:
            SettingsError: a topic does not exist, or the folder is not empty.
            SourceLost: a topic cannot be read.
        """
        from worker.data.stretch import write_stretch

        check_empty(folder)
        guesses = self._guesses(needs_predictions=needs_predictions)
        records = self._read(self.topic, self.until)
        return write_stretch(folder, records, guesses, by_class=by_class, rules=PictureRules(), now=wall_clock())

    def _guesses(self, *, needs_predictions: bool) -> "dict[Position, Guess]":
        from worker.app.cluster import cluster_admin
        from worker.data.stretch import guesses_of

        if not needs_predictions and self.predictions not in cluster_admin(self.kafka).topics([self.predictions]):
            return {}
        return guesses_of(self._read(self.predictions, EventMillis(self.until + LATE_PREDICTIONS_MS)))

    def _read(self, topic: str, until: EventMillis) -> Iterator[Record]:
        """Return the records, partition by partition; whether there is such a topic is known at once."""
        from worker.app.cluster import cluster_admin, cluster_reader

        found, servers = cluster_admin(self.kafka).topics([topic]), self.kafka.bootstrap_servers
        if topic not in found:
            raise SettingsError([f"topic {topic!r} does not exist at {servers}: name another one"])
        partitions = [TopicPartition(topic, number) for number in range(found[topic].partitions)]

        def records() -> Iterator[Record]:
            with closing(cluster_reader(self.kafka)) as reader:
                yield from reader.written_between(partitions, self.since, until)

        return records()


def stretch_of(
    kafka: Kafka,
    topics: Topics,
    since: EventMillis,
    until: EventMillis | None,
    *,
    topic: str | None,
    predictions: str | None = None,
) -> Stretch:
    """Return the stretch that the options name.

    Args:
        kafka: the cluster.
        topics: those of the settings.
        since: the first moment that belongs to it.
        until: the first moment after it; None for now.
        topic: of frames; None for that of the settings.
        predictions: their topic; None for that of the settings.

    Raises:
        SettingsError: nothing lies between the two moments.
    """
    end = wall_clock() if until is None else until
    if since >= end:
        raise SettingsError(["--from is not before --to: nothing lies between"])
    return Stretch(kafka, topic or topics.frames, predictions or topics.predictions, since, end)


def summary_of(written: "Written", folder: Path) -> str:
    """Say what became of the frames of a stretch."""
    lines = [
        f"{written.frames} frames, {written.labelled} with a label, {written.predicted} with a prediction: {folder}"
    ]
    if written.unlabelled:
        lines.append(f"{written.unlabelled} frames without a label are left out: --layout csv writes them too")
    if written.refused:
        lines.append(f"{len(written.refused)} records are no frames and are left out:")
        lines += [f"  {text}" for text in written.refused[:SHOWN]]
    return "\n".join(lines)
