"""`vision-worker run`: run the worker."""

import signal
import sys
from typing import Final

import structlog
import typer
import yaml

from worker.cli.kafka_settings import complete_settings
from worker.cli.options import BootstrapServers, ClientOptions, ConfigFile
from worker.domain.errors import SettingsError, WorkerError
from worker.ops.logs import configure_logs
from worker.settings import effective

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def run(config: ConfigFile = None, bootstrap_servers: BootstrapServers = None, option: ClientOptions = None) -> None:
    """Read frames from Kafka, run the model, publish predictions and running accuracy.

    On SIGTERM and SIGINT, the worker finishes, publishes and commits open frames, leaves the group, and exits with 0.
    It leaves open clips to the worker that reads their partition next.
    """
    for signum in _STOP:
        signal.signal(signum, lambda *_: sys.exit(0))  # there are no open frames before the worker runs
    settings = complete_settings(config, bootstrap_servers, option)
    configure_logs(level=settings.ops.log_level, json=settings.ops.log_format == "json")
    log = structlog.get_logger("worker")

    from worker.app.cluster import patient_admin
    from worker.app.main_thread import MainThread
    from worker.app.requirements import judge_cluster
    from worker.app.workers import kafka_worker
    from worker.settings.offline import Groups
    from worker.tuning.in_force import in_force

    try:
        found = in_force(Groups(settings.model, settings.window, settings.limits))
        settings = settings.model_copy(update=found.groups.by_name())
        if settings.ops.log_format == "json":
            log.info("settings in force", **effective(settings))
        else:
            typer.echo(f"settings in force:\n{yaml.safe_dump(effective(settings), sort_keys=False)}", err=True)
        log.info("profile", found=str(found))
        findings = judge_cluster(patient_admin(settings.kafka), settings.kafka, settings.topics)
        for warning in findings.warnings:
            log.warning("check", found=warning)
        if findings.faults:
            raise SettingsError(findings.faults)
        inference = MainThread(settings.model.streams)
        with kafka_worker(settings, inference) as worker:
            for signum in _STOP:
                signal.signal(signum, lambda *_: worker.stop())
            inference.serve(worker.run)
    except WorkerError as error:
        if settings.ops.log_format != "json":
            raise  # the command line prints it for people
        structlog.get_logger("worker").error("stopped", error=str(error), kind=type(error).__name__)
        raise typer.Exit(2 if isinstance(error, SettingsError) else 1) from error
