"""The command line, one file per command. Commands import heavy libraries only when they run, so --help is fast."""

import typer

from worker import __version__
from worker.cli import deadletters, kafka, models, topics
from worker.cli.check import check
from worker.cli.demo import demo
from worker.cli.evaluate import evaluate
from worker.cli.export import export
from worker.cli.produce import produce
from worker.cli.render import render
from worker.cli.replay import replay
from worker.cli.run import run
from worker.cli.settings import settings
from worker.cli.size import size
from worker.cli.tail import tail
from worker.cli.train import train
from worker.cli.tune import tune

app = typer.Typer(
    name="vision-worker",
    help="Kafka workers that run torch vision models over camera frames.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:  # noqa: FBT001 typer passes the flag
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(  # noqa: FBT001 its callback does the work
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Kafka workers that run torch vision models over camera frames."""


for panel, commands in {
    "Serve": (check, run, size, tune, settings),
    "Try": (demo, replay, render, produce),
    "Models": (train, evaluate, export),
    "Look": (tail,),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(topics.app, name="topics", rich_help_panel="Serve")
app.add_typer(kafka.app, name="kafka", rich_help_panel="Try")
app.add_typer(models.app, name="models", rich_help_panel="Models")
app.add_typer(deadletters.app, name="deadletters", rich_help_panel="Look")
