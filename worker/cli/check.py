"""`vision-worker check`: all that is wrong, before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from worker.cli.options import AsJson, ConfigFile
from worker.domain.errors import SettingsError, WorkerError
from worker.settings import Kafka, Limits, Topics, read_groups

if TYPE_CHECKING:
    from worker.adapters.kafka import Topic

HEADROOM = 16 * 1024
"""Bytes that a dead letter's headers add to its frame, with a long trace."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found.

    Attributes:
        faults: the worker would not run, or not keep its promises; each says what to do.
        warnings: it would run, until something unusual happens.
        facts: what was looked at and is right.
    """

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def check(config: ConfigFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 a flag
    """Validate settings, brokers, topics and model; list every fault at once with what to do, and exit 2."""
    groups, faults = read_groups(config)
    findings = Findings(faults=faults)
    if "kafka" in groups and "topics" in groups:
        _check_cluster(groups["kafka"], groups["topics"], findings)
    if "model" in groups:
        _check_model(groups, findings)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(findings))
    else:
        _show(findings)
    if findings.faults:
        raise typer.Exit(2)


def judge_topics(wanted: Topics, found: "Mapping[str, Topic]", findings: Findings) -> None:
    """Hold the topics that exist against what the worker needs of them."""
    frames = found.get(wanted.frames)
    partitions = frames.partitions if frames else None
    for name, topic in wanted.model_dump().items():
        if topic not in found:
            size = f" with {partitions} partitions" if partitions and name != "frames" else ""
            policy = " and cleanup.policy=compact" if name == "accuracy" else ""
            findings.faults.append(f"topics.{name}: topic {topic!r} does not exist; create it{size}{policy}")
        else:
            findings.facts.append(f"topics.{name}: {topic!r} has {found[topic].partitions} partitions")
    for name in ("predictions", "accuracy"):
        output = found.get(getattr(wanted, name))
        if frames and output and output.partitions < frames.partitions:
            findings.faults.append(
                f"topics.{name}: {output.name!r} has {output.partitions} partitions and {frames.name!r} has "
                f"{frames.partitions}; results go to the partition number of their frame, so add "
                f"{frames.partitions - output.partitions}"
            )
    accuracy, letters = found.get(wanted.accuracy), found.get(wanted.dead_letters)
    if accuracy and accuracy.config.get("cleanup.policy", "compact") != "compact":
        findings.faults.append(
            f"topics.accuracy: {accuracy.name!r} has cleanup.policy={accuracy.config['cleanup.policy']}; set it to "
            "compact, or counts are lost when old records are deleted"
        )
    if frames and letters:
        largest, room = (int(t.config.get("max.message.bytes", 0)) for t in (frames, letters))
        if largest and room < largest + HEADROOM:
            findings.warnings.append(
                f"topics.dead_letters: {letters.name!r} has max.message.bytes={room}, the frames' topic {largest}; a "
                f"bad frame of that size would not fit and would stop the worker: set {largest + HEADROOM} or more"
            )


def _check_cluster(kafka: Kafka, topics: Topics, findings: Findings) -> None:
    from worker.adapters.kafka import BrokerUnreachable, KafkaSink
    from worker.app.cluster import cluster_admin, group_member

    # Which protocol "auto" will be is the brokers' to say; the options can be judged without them.
    protocol = "classic" if kafka.group_protocol == "auto" else kafka.group_protocol
    try:
        group_member(kafka, topics.frames, Limits(), protocol=protocol).close()
    except SettingsError as error:
        findings.faults.extend(f"kafka.consumer: {fault}" for fault in error.faults)
    try:
        KafkaSink(kafka.bootstrap_servers, kafka.options | kafka.producer).close()
    except SettingsError as error:
        findings.faults.extend(f"kafka.producer: {fault}" for fault in error.faults)
    try:
        found = cluster_admin(kafka).topics(topics.model_dump().values())
    except SettingsError as error:
        findings.faults.extend(f"kafka.options: {fault}" for fault in error.faults)
    except BrokerUnreachable as error:
        findings.faults.append(f"kafka.bootstrap_servers: {error}")
    else:
        findings.facts.append(f"kafka.bootstrap_servers: {kafka.bootstrap_servers} answers")
        judge_topics(topics, found, findings)


def _check_model(groups: Mapping[str, Any], findings: Findings) -> None:
    from worker.models.build import load_model
    from worker.models.preparation import frame_decoder
    from worker.tuning.groups import Groups
    from worker.tuning.in_force import in_force

    try:
        found = in_force(Groups.of(groups))
        model = found.groups.model
        loaded = load_model(model)
        frame_decoder(loaded.preprocessing, model, max_pixels=Limits().max_pixels)
        loaded.warm_up(1)
    except SettingsError as error:
        findings.faults.extend(f"model: {fault}" for fault in error.faults)
    except WorkerError as error:
        findings.faults.append(f"model: {error}")
    else:
        findings.facts.append(
            f"model: {loaded.identity} with {len(loaded.labels)} classes runs on {model.device} by {model.engine}"
        )
        findings.facts.append(f"model.profile: {found}")


def _show(findings: Findings) -> None:
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
