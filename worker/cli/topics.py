"""`vision-worker topics`: create the topics that a worker needs."""

from typing import Annotated

import typer

from worker.cli.options import ConfigFile
from worker.domain.errors import SettingsError
from worker.settings import read_groups


def topics(
    config: ConfigFile = None,
    *,
    partitions: Annotated[
        int, typer.Option(min=1, help="Partitions of each new topic: the most workers at a time.")
    ] = 4,
    replication_factor: Annotated[int, typer.Option(min=1, help="Copies of each new topic.")] = 1,
    largest_frame: Annotated[int, typer.Option(min=1, help="Bytes of the largest frame.")] = 4 * 2**20,
) -> None:
    """Create the topics of the settings that do not exist yet, as the worker needs them, and list all of them.

    Only the settings of kafka and topics are used. Existing topics stay as they are; `check` says whether they fit.
    """
    from worker.adapters.kafka import Topic
    from worker.app.cluster import cluster_admin

    groups, faults = read_groups(config)
    faults = [fault for fault in faults if fault.startswith(("kafka", "topics", "environment"))]
    if faults or "kafka" not in groups or "topics" not in groups:
        raise SettingsError(faults or ["the settings of kafka and topics cannot be read"])
    admin, wanted = cluster_admin(groups["kafka"]), groups["topics"].in_use()
    existing = admin.topics(wanted.values())
    if (frames := existing.get(groups["topics"].frames)) is not None:
        partitions = max(partitions, frames.partitions)  # a result goes to the partition number of its frame
    specs = groups["topics"].specs(partitions=partitions, largest_frame=largest_frame)
    missing = [Topic(*spec) for spec in specs if spec.name not in existing]
    if missing:
        admin.create(missing, replication_factor=replication_factor)
    created = {each.name for each in missing}
    for role, name in wanted.items():
        state = "created" if name in created else f"exists, with {existing[name].partitions} partitions"
        typer.echo(f"topics.{role:<13} {name:<20} {state}")
