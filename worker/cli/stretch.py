"""A stretch of a topic: the options that name it, and how it is read. `export` and `train` share them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.adapters.clocks import wall_clock
from worker.domain.errors import SettingsError
from worker.domain.records import Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings import Kafka, Topics, read_groups
from worker.views.moments import moment


def _parse_time(text: str) -> EventMillis:
    try:
        return moment(text, wall_clock())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


_FORMATS = "ISO 8601 in UTC, or an age such as 2h"
Topic = Annotated[str | None, typer.Option(help="The topic of frames; by default that of the settings.")]
From = Annotated[
    Any,
    typer.Option("--from", parser=_parse_time, metavar="TIME", help=f"Records written from then on: {_FORMATS}."),
]
To = Annotated[
    Any,
    typer.Option("--to", parser=_parse_time, metavar="TIME", help=f"Records written before: {_FORMATS}; default: now."),
]


def kafka_of(config: Path | None) -> tuple[Kafka, Topics]:
    """Return the settings of the cluster and of its topics; faults in other settings do not matter.

    Raises:
        SettingsError: one of the two has a fault.
    """
    groups, faults = read_groups(config)
    if not {"kafka", "topics"} <= groups.keys():
        raise SettingsError([fault for fault in faults if fault.startswith(("kafka", "topics", "--config"))])
    return groups["kafka"], groups["topics"]


def read_stretch(kafka: Kafka, topic: str, since: EventMillis, until: EventMillis) -> "Iterator[Record]":
    """Return the records of a topic that were written in a stretch of time, partition by partition.

    Raises:
        SettingsError: there is no such topic.
        SourceLost: it cannot be read. Raised by the iterator.
    """
    from worker.app.cluster import cluster_admin, cluster_reader

    found = cluster_admin(kafka).topics([topic])
    if topic not in found:
        raise SettingsError([f"topic {topic!r} does not exist at {kafka.bootstrap_servers}: name another with --topic"])
    partitions = [TopicPartition(topic, number) for number in range(found[topic].partitions)]

    def records() -> Iterator[Record]:
        with closing(cluster_reader(kafka)) as reader:
            yield from reader.written_between(partitions, since, until)

    return records()
