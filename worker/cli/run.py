"""`vision-worker run`: the worker."""

import signal
import sys
from typing import Final

import structlog
import typer
import yaml

from worker.cli.options import ConfigFile
from worker.logs import configure_logs
from worker.settings import effective, load_settings

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def run(config: ConfigFile = None) -> None:
    """Read frames from Kafka, run the model, publish predictions and running accuracy.

    SIGTERM and SIGINT finish what is open, publish it, commit it, leave the group, and exit with 0.
    """
    for signum in _STOP:
        signal.signal(signum, lambda *_: sys.exit(0))  # nothing is open before the worker runs
    settings = load_settings(config)
    configure_logs(level=settings.ops.log_level, json=settings.ops.log_format == "json")
    if settings.ops.log_format == "json":
        structlog.get_logger("worker").info("settings in force", **effective(settings))
    else:
        typer.echo(f"settings in force:\n{yaml.safe_dump(effective(settings), sort_keys=False)}", err=True)

    from worker.wiring import kafka_worker

    with kafka_worker(settings) as processor:
        for signum in _STOP:
            signal.signal(signum, lambda *_: processor.stop())
        processor.run()
