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
    nodes: Annotated[int, typer.Option(min=1, max=5, help="With three, one may fail and nothing is lost.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Keep the data here; without it, it goes with `down`.")] = None,
) -> None:
    """Start Kafka in the background, wait until it is ready, and print its address."""
    console = _console()
    if _given(console):
        return
    if found := background.running():
        console.print("Kafka runs already.")
        _show(console, found)
        return
    with console.status(f"Taking Apache Kafka {KAFKA_VERSION} (44 MB, the first time)"):
        fetch_jars()
    with console.status(f"Starting Apache Kafka {KAFKA_VERSION}"):
        started = background.start(nodes, folder)
    console.print(f"Apache Kafka {KAFKA_VERSION} is ready.")
    _show(console, started)


@app.command()
def down() -> None:
    """Stop the Kafka in the background and wait until it is gone."""
    console = _console()
    with console.status("Stopping Kafka"):
        stopped = background.stop()
    console.print(
        f"Kafka at {stopped.bootstrap_servers} is stopped." if stopped else "No Kafka runs in the background."
    )


@app.command()
def status() -> None:
    """Say what runs; exit 1 if nothing does."""
    console = _console()
    if _given(console):
        return
    found = background.running()
    if found is None:
        console.print("No Kafka runs in the background. Start one: vision-worker kafka up")
        raise typer.Exit(1)
    _show(console, found)


def _given(console: Console) -> bool:
    """Tell whether the environment names a Kafka already, and say so."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        console.print(f"KAFKA_BOOTSTRAP_SERVERS is set: {given} is used, and none is started.")
    return bool(given)


def _show(console: Console, found: background.Running) -> None:
    console.print(f"  address  {found.bootstrap_servers}")
    console.print(f"  nodes    {found.nodes}")
    console.print(f"  data     {found.folder or 'temporary, gone after `vision-worker kafka down`'}")
    console.print(f"  logs     {found.logs}")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)
