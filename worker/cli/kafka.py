"""`vision-worker kafka`: a real Kafka on this machine, in the background."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from worker.local import background
from worker.local.jars import KAFKA_VERSION, fetch_jars

app = typer.Typer(help="A real Kafka on this machine, without Docker or Java.", no_args_is_help=True)


@app.command()
def up(
    nodes: Annotated[
        int, typer.Option(min=1, max=5, help="Number of nodes; with three, one may fail without loss.")
    ] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the data in this folder; without it, `down` deletes the data.")
    ] = None,
) -> None:
    """Start Kafka in the background, wait until it is ready, and print its address."""
    console = _console()
    if _named_in_environment(console):
        return
    if found := background.running():
        console.print("Kafka is already running.")
        _print(console, found)
        return
    with console.status(f"Downloading Apache Kafka {KAFKA_VERSION} (44 MB, only the first time)"):
        fetch_jars()
    with console.status(f"Starting Apache Kafka {KAFKA_VERSION}"):
        started = background.start(nodes, folder)
    console.print(f"Apache Kafka {KAFKA_VERSION} is ready.")
    _print(console, started)


@app.command()
def down() -> None:
    """Stop the Kafka in the background, and wait until it has ended."""
    console = _console()
    with console.status("Stopping Kafka"):
        stopped = background.stop()
    console.print(
        f"Kafka at {stopped.bootstrap_servers} has stopped." if stopped else "No Kafka is running in the background."
    )


@app.command()
def status() -> None:
    """Print what is running; exit with 1 if nothing is."""
    console = _console()
    if _named_in_environment(console):
        return
    found = background.running()
    if found is None:
        console.print("No Kafka is running in the background. Start one: vision-worker kafka up")
        raise typer.Exit(1)
    _print(console, found)


def _named_in_environment(console: Console) -> bool:
    """Return whether the environment names a Kafka; if so, print it."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        console.print(f"KAFKA_BOOTSTRAP_SERVERS is set: {given} is used, and no Kafka is started.")
    return bool(given)


def _print(console: Console, found: background.Running) -> None:
    console.print(f"  address  {found.bootstrap_servers}")
    console.print(f"  nodes    {found.nodes}")
    console.print(f"  data     {found.folder or 'temporary, deleted by `vision-worker kafka down`'}")
    console.print(f"  logs     {found.logs}")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)
