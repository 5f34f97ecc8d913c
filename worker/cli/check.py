"""`vision-worker check`: find all problems before the worker runs."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console

from worker.cli.kafka_settings import read_settings
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile, ModelName, next_command
from worker.domain.errors import SettingsError, WorkerError
from worker.settings import Delivery, Kafka, Limits, Topics
from worker.settings.secrets import Secret

if TYPE_CHECKING:
    from worker.app.requirements import Findings

_NEEDS_RIGHTS: Final = re.compile(r"allow (it|this user) to")


def check(
    *,
    config: ConfigFile = None,
    model: ModelName = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, brokers, topics and model; list all problems with what to do, and exit with 2 if any."""
    from worker.app.pages import judge_port
    from worker.app.requirements import Findings

    groups, faults = read_settings(config, bootstrap_servers, option, model)
    findings = Findings(faults=faults)
    if "kafka" in groups and "topics" in groups:
        _check_cluster(groups["kafka"], groups["topics"], groups.get("delivery", Delivery()), findings)
    if "model" in groups:
        _check_model(groups, findings)
    if "ops" in groups:
        findings.add(judge_port(groups["ops"]))
    findings = findings.consistent()
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(findings))
    else:
        _print(findings)
        said = "\n".join([*findings.faults, *findings.warnings])
        if _NEEDS_RIGHTS.search(said):
            command = next_command("topics acls", config, bootstrap_servers, None, "--user", _user(groups["kafka"]))
            typer.echo(f"next    {command} prints the commands that allow it")
        if "vision-worker topics apply" in said:
            command = next_command("topics plan", config, bootstrap_servers, option)
            typer.echo(f"next    {command} shows what to change")
        if not findings.faults:
            named = [] if model is None else ["--model", model]
            typer.echo(f"next    {next_command('run', config, bootstrap_servers, option, *named)}")
    if findings.faults:
        raise typer.Exit(2)


def _user(kafka: Kafka) -> str:
    """Return the user's name, if it stands in the settings."""
    name = kafka.options.get("sasl.username", "NAME")
    return "NAME" if isinstance(name, Secret) else str(name)


def _check_cluster(kafka: Kafka, topics: Topics, delivery: Delivery, findings: "Findings") -> None:
    from worker.adapters.kafka import BrokerUnreachable
    from worker.app.cluster import cluster_admin
    from worker.app.requirements import judge_cluster

    faults = list(_refused_options(kafka, topics))
    findings.faults.extend(faults)
    try:
        found = judge_cluster(cluster_admin(kafka), kafka, topics)
    except SettingsError as error:
        findings.faults.extend(f"kafka.options: {fault}" for fault in error.faults)
    except BrokerUnreachable as error:
        findings.faults.append(f"kafka.bootstrap_servers: {error}")
    else:
        findings.facts.append(f"kafka.bootstrap_servers: {kafka.bootstrap_servers} answers")
        findings.add(found)
        if not faults:
            _check_transactions(kafka, topics, delivery, findings)


def _refused_options(kafka: Kafka, topics: Topics) -> Iterator[str]:
    from worker.adapters.kafka import KafkaSink
    from worker.app.cluster import group_member

    # The brokers decide which protocol "auto" selects; the options can be checked without brokers.
    protocol = "classic" if kafka.group_protocol == "auto" else kafka.group_protocol
    try:
        group_member(kafka, topics, Limits(), protocol=protocol).close()
    except SettingsError as error:
        yield from (f"kafka.consumer: {fault}" for fault in error.faults)
    try:
        KafkaSink(kafka.bootstrap_servers, kafka.options | kafka.producer).close()
    except SettingsError as error:
        yield from (f"kafka.producer: {fault}" for fault in error.faults)


def _check_transactions(kafka: Kafka, topics: Topics, delivery: Delivery, findings: "Findings") -> None:
    """Begin as an exactly-once worker does: brokers tell only so whether a user may write with a transactional id."""
    from worker.app.cluster import group_member, results_sink

    if delivery.guarantee != "exactly_once":
        return
    source = group_member(kafka, topics, Limits(), protocol="classic")
    try:
        results_sink(kafka, delivery, source).close()
    except WorkerError as error:
        findings.faults.append(f"delivery.guarantee: {error}")
    else:
        findings.facts.append("delivery.guarantee: transactions can be begun")
    finally:
        source.close()


def _check_model(groups: Mapping[str, Any], findings: "Findings") -> None:
    from worker.app.recurrent import check_topics
    from worker.app.sampling import sampling_for
    from worker.models.build import load_model
    from worker.models.preparation import frame_decoder
    from worker.settings.offline import Groups
    from worker.tuning.in_force import in_force

    try:
        found = in_force(Groups.of(groups), comparing=lambda line: typer.echo(line, err=True))
        model = found.groups.model
        loaded = load_model(model)
        frame_decoder(loaded.preprocessing, model, Limits())
        loaded.warm_up(1)
        sampling_for(loaded, model, found.groups.sampling, found.groups.window, live=True)
        if "topics" in groups:
            check_topics(loaded, groups["topics"])
    except SettingsError as error:
        findings.faults.extend(
            fault if fault.startswith(("sampling", "topics")) else f"model: {fault}" for fault in error.faults
        )
    except WorkerError as error:
        findings.faults.append(f"model: {error}")
    else:
        findings.facts.append(
            f"model: {loaded.identity} with {len(loaded.task.labels)} classes runs on {model.device} by {model.engine}"
        )
        findings.facts.append(f"model.profile: {found}")
        if found.choice:
            findings.facts.append(f"auto: {found.choice}")


def _print(findings: "Findings") -> None:
    console = Console(soft_wrap=True, highlight=False)
    for fact in findings.facts:
        console.print("[green]ok     [/]", end=" ")
        console.print(fact, markup=False)
    for warning in findings.warnings:
        console.print("[yellow]warning[/]", end=" ")
        console.print(warning, markup=False)
    for fault in findings.faults:
        console.print("[red]fault  [/]", end=" ")
        console.print(fault, markup=False)
