"""Options that several commands share."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from worker.adapters.clocks import wall_clock
from worker.domain.times import EventMillis
from worker.views.moments import moment


def parse_time(text: str) -> EventMillis:
    """Read a TIME of the command line."""
    try:
        return moment(text, wall_clock())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_option(text: str) -> tuple[str, str]:
    """Read a NAME=VALUE of the command line."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="-X")
    return name, value


def same_kafka(config: Path | None, bootstrap_servers: str | None, option: Sequence[str] | None) -> list[str]:
    """Return the arguments with which other commands use the same Kafka and topics, without the values of `-X`.

    The arguments are those of a command; a value of `-X` may be secret.
    """
    given = [] if config is None else ["--config", str(config)]
    given += [] if bootstrap_servers is None else ["--bootstrap-servers", bootstrap_servers]
    for each in option or ():
        given += ["-X", f"{each.partition('=')[0]}=..."]
    return given


def next_command(
    command: str,
    config: Path | None,
    bootstrap_servers: str | None,
    option: Sequence[str] | None,
    *words: str,
) -> str:
    """Return a command as it is typed, on the same Kafka and topics as the command that tells of it."""
    return shlex.join(["vision-worker", *command.split(), *same_kafka(config, bootstrap_servers, option), *words])


ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings as a YAML file; the environment overrides it.")
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A name of `models list`, the folder of a model, or its manifest; replaces the model of the settings.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        "-b",
        help="Brokers as host:port; default: those of the settings, else the Kafka of `vision-worker kafka up`.",
    ),
]
ClientOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-X",
        metavar="NAME=VALUE",
        help="A librdkafka option, such as security.protocol=SSL; repeat for more.",
    ),
]
