"""`vision-worker topics`: compare the topics with what the worker needs, and create and change them."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.acls import acl_lines
from worker.cli.kafka_settings import kafka_and_topics, read_settings
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile, next_command
from worker.cli.topic_plan import as_json, lines
from worker.domain.errors import SettingsError, WorkerError
from worker.settings import Kafka, Topics

if TYPE_CHECKING:
    from worker.adapters.kafka import KafkaAdmin
    from worker.app.topic_plan import TopicPlan, Wishes

TO_DO: Final = 3
"""The exit status of `plan --exit-code` if there is something to do: errors have 1 and 2."""
_SHOWN_WITHIN: Final = 10.0
"""Seconds within which brokers tell of a change that they have made."""

app = typer.Typer(no_args_is_help=True, help="Compare the topics with what the worker needs; create and change them.")

Partitions = Annotated[
    int | None,
    typer.Option(
        min=1, help="Fewest partitions of the topic of frames, so the most workers at a time; 4 if it is new."
    ),
]
LargestFrame = Annotated[
    int | None, typer.Option(min=1, help="Bytes of the largest frame; 4 MiB if the topic of frames is new.")
]
Replication = Annotated[
    int | None, typer.Option(min=1, help="Copies of each new partition; the brokers' default if it is not given.")
]
More = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="TOPIC.NAME=VALUE",
        help="A topic's configuration, such as frames.retention.bytes=268435456; repeat for more.",
    ),
]


@app.command()
def plan(
    config: ConfigFile = None,
    *,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    partitions: Partitions = None,
    largest_frame: LargestFrame = None,
    replication_factor: Replication = None,
    more: More = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if there is something to do.")] = False,
    json: AsJson = False,
) -> None:
    """Show what would be created and changed, and what that does to others. Nothing is changed."""
    kafka, topics = kafka_and_topics(config, bootstrap_servers, option)
    plans = _plans(_admin(kafka), topics, _wishes(topics, partitions, largest_frame, replication_factor, more))
    if json:
        typer.echo(as_json(plans, replication_factor))
    else:
        for line in lines(plans, replication_factor):
            typer.echo(line)
        if any(each.action != "keep" for each in plans):
            words = list(_typed(partitions, largest_frame, replication_factor, more))
            typer.echo(f"next: {next_command('topics apply', config, bootstrap_servers, option, *words)}")
    if exit_code and any(each.action != "keep" or each.impossible for each in plans):
        raise typer.Exit(TO_DO)


@app.command()
def apply(
    config: ConfigFile = None,
    *,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    partitions: Partitions = None,
    largest_frame: LargestFrame = None,
    replication_factor: Replication = None,
    more: More = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change existing topics without asking.")] = False,
) -> None:
    """Create the topics that are missing, and change those that are not as the worker needs them.

    It shows the plan first, and asks before it changes a topic that exists.
    """
    kafka, topics = kafka_and_topics(config, bootstrap_servers, option)
    wishes = _wishes(topics, partitions, largest_frame, replication_factor, more)
    admin = _admin(kafka)
    plans = _plans(admin, topics, wishes)
    for line in lines(plans, replication_factor):
        typer.echo(line)
    if any(each.impossible for each in plans):
        raise WorkerError("nothing was changed, because some of it cannot be done: do what stands after each cannot")
    if all(each.action == "keep" for each in plans):
        return
    if any(each.action == "change" for each in plans) and not yes:
        _confirm()
    _do(admin, plans, wishes)
    _wait_until_shown(admin, topics, wishes)
    typer.echo("every topic is as planned")


@app.command()
def acls(
    config: ConfigFile = None,
    *,
    bootstrap_servers: BootstrapServers = None,
    user: Annotated[str, typer.Option(help="The user as the brokers name it, such as worker or CN=worker.")],
    command: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="COMMAND", help="What the user runs; default: run and check. Repeat for more."),
    ] = None,
) -> None:
    """Print the commands that give a user the smallest rights. An administrator of the brokers runs them."""
    from worker.app.rights import RIGHTS, Subject

    commands = command or ["run", "check"]
    if unknown := [each for each in commands if each not in RIGHTS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: write one of {', '.join(RIGHTS)}", param_hint="--for")
    groups, faults = read_settings(config, bootstrap_servers)
    needed = ("kafka", "topics", "delivery")
    if any(each not in groups for each in needed):
        raise SettingsError([fault for fault in faults if fault.startswith((*needed, "--config", "environment"))])
    subject = Subject(*(groups[each] for each in needed))
    for line in acl_lines(user, subject.kafka.bootstrap_servers, {each: RIGHTS[each](subject) for each in commands}):
        typer.echo(line)


def _admin(kafka: Kafka) -> "KafkaAdmin":
    from worker.app.cluster import cluster_admin

    return cluster_admin(kafka)


def _plans(admin: "KafkaAdmin", topics: Topics, wishes: "Wishes") -> list["TopicPlan"]:
    from worker.app.topic_plan import plan_topics
    from worker.settings.topics import replay_marks

    names = [*topics.in_use().values(), replay_marks(topics.dead_letters).name]
    return plan_topics(topics, admin.topics(names), wishes)


def _wishes(
    topics: Topics, partitions: int | None, largest_frame: int | None, copies: int | None, more: Sequence[str] | None
) -> "Wishes":
    from worker.app.topic_plan import Wishes, read_config

    return Wishes(
        partitions=partitions,
        largest_frame=largest_frame,
        replication_factor=copies,
        config=read_config(topics, more or ()),
    )


def _typed(
    partitions: int | None, largest_frame: int | None, copies: int | None, more: Sequence[str] | None
) -> Iterator[str]:
    """Yield the words of the options, so that the next command asks for the same."""
    for name, value in (
        ("--partitions", partitions),
        ("--largest-frame", largest_frame),
        ("--replication-factor", copies),
    ):
        if value is not None:
            yield from (name, str(value))
    for each in more or ():
        yield from ("--set", each)


def _confirm() -> None:
    """Ask before a topic changes that exists: others may depend on it.

    Raises:
        WorkerError: there is nobody to ask.
        typer.Exit: the answer is no.
    """
    if not sys.stdin.isatty():
        raise WorkerError("topics that exist would change, and there is no terminal to ask: add --yes")
    if not typer.confirm("Change the topics that exist?"):
        typer.echo("nothing was changed")
        raise typer.Exit(1)


def _do(admin: "KafkaAdmin", plans: Sequence["TopicPlan"], wishes: "Wishes") -> None:
    """Create and change the topics: that of frames last, so that no frame comes before its outputs have room for it."""
    from worker.adapters.kafka import BROKERS_DEFAULT, Topic

    for each in sorted(plans, key=lambda each: each.role == "frames"):
        if each.now is None:
            admin.create([Topic(*each.spec)], replication_factor=wishes.replication_factor or BROKERS_DEFAULT)
            typer.echo(f"created {each.name}")
            continue
        if each.config:
            admin.configure(each.name, each.config)
        if each.partitions > each.now.partitions:
            admin.add_partitions(each.name, each.partitions)
        if each.changes:
            typer.echo(f"changed {each.name}")


def _wait_until_shown(admin: "KafkaAdmin", topics: Topics, wishes: "Wishes") -> None:
    deadline = time.monotonic() + _SHOWN_WITHIN
    while left := [each.name for each in _plans(admin, topics, wishes) if each.action != "keep"]:
        if time.monotonic() > deadline:
            raise WorkerError(
                f"the brokers accepted the changes, but {', '.join(left)} is not as planned: somebody else may have "
                "changed it; find out with vision-worker topics plan"
            )
        time.sleep(0.1)
