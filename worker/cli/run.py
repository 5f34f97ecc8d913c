"""`vision-worker run`: run the worker."""

import shlex
import signal
import sys
from collections.abc import Iterable
from typing import Final

import structlog
import typer
import yaml

from worker.cli.kafka_settings import WHICH_MODEL, complete_settings
from worker.cli.options import BootstrapServers, ClientOptions, ConfigFile, ModelName, same_kafka
from worker.domain.errors import SettingsError, WorkerError
from worker.ops.logs import configure_logs
from worker.settings import Settings, effective
from worker.settings.changed import Changed, changed

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def run(
    config: ConfigFile = None,
    model: ModelName = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
) -> None:
    """Read frames from Kafka, run the model, publish predictions and running accuracy.

    On SIGTERM and SIGINT, the worker finishes, publishes and commits open frames, leaves the group, and exits with 0.
    It leaves open clips to the worker that reads their partition next.
    """
    for signum in _STOP:
        signal.signal(signum, lambda *_: sys.exit(0))  # there are no open frames before the worker runs
    settings = complete_settings(config, bootstrap_servers, option, model)
    configure_logs(level=settings.ops.log_level, json=settings.ops.log_format == "json")
    log = structlog.get_logger("worker")

    from worker.app.main_thread import MainThread
    from worker.app.workers import kafka_worker
    from worker.settings.offline import Groups
    from worker.tuning.in_force import in_force

    try:
        _check_cluster(settings)  # before anything that takes long
        groups = Groups(settings.model, settings.window, settings.limits, settings.sampling)
        found = in_force(groups, comparing=lambda line: log.info("comparing engines", line=line))
        chosen, settings = settings, settings.model_copy(update=found.groups.by_name())
        given = {"kafka.bootstrap_servers"} if bootstrap_servers else set()
        given |= {"kafka.options"} if option else set()
        given |= {f"model.{name}" for name in WHICH_MODEL} if model else set()
        _tell_settings(settings, changed(settings, chosen, config, given=given, origins=found.origins))
        log.info("profile", found=str(found))
        if found.choice:
            log.info("auto", line=f"auto: {found.choice}", chosen=found.choice)
        inference = MainThread(settings.model.streams_or_one)
        same = shlex.join(same_kafka(config, bootstrap_servers, option))
        with kafka_worker(settings, inference, same_kafka=same) as worker:
            for signum in _STOP:
                signal.signal(signum, lambda *_: worker.stop())
            inference.serve(worker.run)
    except WorkerError as error:
        if settings.ops.log_format != "json":
            raise  # the command line prints it for people
        structlog.get_logger("worker").error("stopped", error=str(error), kind=type(error).__name__)
        raise typer.Exit(2 if isinstance(error, SettingsError) else 1) from error


def _check_cluster(settings: Settings) -> None:
    """Look at the brokers, the topics and the user's rights.

    Raises:
        SettingsError: the worker cannot work with them.
    """
    from worker.app.cluster import patient_admin
    from worker.app.requirements import judge_cluster

    findings = judge_cluster(patient_admin(settings.kafka), settings.kafka, settings.topics)
    for warning in findings.warnings:
        structlog.get_logger("worker").warning("check", found=warning)
    if findings.faults:
        raise SettingsError(findings.faults)


def _tell_settings(settings: Settings, different: Iterable[Changed]) -> None:
    """Tell programs all settings, and people those that are not as usual."""
    log, rows = structlog.get_logger("worker"), [(each.name, str(each.value), each.origin) for each in different]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    log.info(
        "settings in force",
        line=f"settings, as far as they are not the defaults (all: vision-worker settings):\n{shown}",
        **effective(settings),
    )
    log.debug("all settings", line=yaml.safe_dump(effective(settings), sort_keys=False))
