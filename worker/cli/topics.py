"""`vision-worker topics`: create the topics that a worker needs."""

from typing import Annotated

import typer

from worker.cli.kafka_settings import kafka_and_topics
from worker.cli.options import BootstrapServers, ClientOptions, ConfigFile


def topics(
    config: ConfigFile = None,
    *,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
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

    cluster, named = kafka_and_topics(config, bootstrap_servers, option)
    admin, wanted = cluster_admin(cluster), named.in_use()
    existing = admin.topics(wanted.values())
    if (frames := existing.get(named.frames)) is not None:
        partitions = max(partitions, frames.partitions)  # a result goes to the partition number of its frame
    specs = named.specs(partitions=partitions, largest_frame=largest_frame)
    missing = [Topic(*spec) for spec in specs if spec.name not in existing]
    if missing:
        admin.create(missing, replication_factor=replication_factor)
    created = {each.name for each in missing}
    for role, name in wanted.items():
        state = "created" if name in created else f"exists, with {existing[name].partitions} partitions"
        typer.echo(f"topics.{role:<13} {name:<20} {state}")
