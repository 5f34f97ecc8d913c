"""`vision-worker check`: find all problems before the worker runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from worker.cli.options import AsJson, ConfigFile
from worker.domain.errors import SettingsError, WorkerError
from worker.settings import Kafka, Limits, Topics, read_groups
from worker.settings.topics import HEADERS, NEEDS

if TYPE_CHECKING:
    from worker.adapters.kafka import Topic


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a check.

    Attributes:
        faults: problems with which the worker would not run or not keep its guarantees; each says what to do.
        warnings: problems that matter only in unusual situations.
        facts: what was checked and is correct.
    """

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def check(config: ConfigFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 a flag
    """Check settings, brokers, topics and model; list all problems with what to do, and exit with 2 if any."""
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
        _print(findings)
    if findings.faults:
        raise typer.Exit(2)


def judge_topics(wanted: Topics, found: "Mapping[str, Topic]", findings: Findings) -> None:
    """Compare the existing topics with the worker's requirements."""
    frames = found.get(wanted.frames)
    names = wanted.in_use()
    existing = {role: found[name] for role, name in names.items() if name in found}
    for role, name in names.items():
        if role in existing:
            findings.facts.append(f"topics.{role}: {name!r} has {existing[role].partitions} partitions")
        else:
            needs = NEEDS[role]
            size = f" with {frames.partitions} partitions" if frames and needs.direction == "output" else ""
            policy = f" and cleanup.policy={needs.cleanup_policy}" if needs.cleanup_policy else ""
            findings.faults.append(f"topics.{role}: topic {name!r} does not exist; create it{size}{policy}")
    for role, topic in existing.items():
        if frames and NEEDS[role].partitions_as_frames:
            findings.faults.extend(_too_few_partitions(role, topic, frames))
    for role, topic in existing.items():
        findings.faults.extend(_wrong_cleanup(role, topic))
    for role, topic in existing.items():
        if frames and NEEDS[role].room_for_frames:
            findings.warnings.extend(_too_small_records(role, topic, frames))


def _too_few_partitions(role: str, topic: "Topic", frames: "Topic") -> Iterator[str]:
    if topic.partitions < frames.partitions:
        yield (
            f"topics.{role}: {topic.name!r} has {topic.partitions} partitions and {frames.name!r} has "
            f"{frames.partitions}; results go to the partition number of their frame, so add "
            f"{frames.partitions - topic.partitions}"
        )


def _wrong_cleanup(role: str, topic: "Topic") -> Iterator[str]:
    wanted, policy = NEEDS[role].cleanup_policy, topic.config.get("cleanup.policy")
    if wanted and policy not in {wanted, None}:  # None: this user may not read the topic's configuration
        yield (
            f"topics.{role}: {topic.name!r} has cleanup.policy={policy}; set it to {wanted}, or "
            f"{NEEDS[role].lost_unless_compacted} are lost when old records are deleted"
        )


def _too_small_records(role: str, topic: "Topic", frames: "Topic") -> Iterator[str]:
    largest, room = (int(each.config.get("max.message.bytes", 0)) for each in (frames, topic))
    if largest and room < largest + HEADERS:
        yield (
            f"topics.{role}: {topic.name!r} has max.message.bytes={room}, the frames' topic {largest}; what "
            f"is made of a frame of that size would not fit, and would stop the worker: set {largest + HEADERS} or more"
        )


def _check_cluster(kafka: Kafka, topics: Topics, findings: Findings) -> None:
    from worker.adapters.kafka import BrokerUnreachable, KafkaSink
    from worker.app.cluster import cluster_admin, group_member

    # The brokers decide which protocol "auto" selects; the options can be checked without brokers.
    protocol = "classic" if kafka.group_protocol == "auto" else kafka.group_protocol
    try:
        group_member(kafka, topics, Limits(), protocol=protocol).close()
    except SettingsError as error:
        findings.faults.extend(f"kafka.consumer: {fault}" for fault in error.faults)
    try:
        KafkaSink(kafka.bootstrap_servers, kafka.options | kafka.producer).close()
    except SettingsError as error:
        findings.faults.extend(f"kafka.producer: {fault}" for fault in error.faults)
    try:
        found = cluster_admin(kafka).topics(topics.in_use().values())
    except SettingsError as error:
        findings.faults.extend(f"kafka.options: {fault}" for fault in error.faults)
    except BrokerUnreachable as error:
        findings.faults.append(f"kafka.bootstrap_servers: {error}")
    else:
        findings.facts.append(f"kafka.bootstrap_servers: {kafka.bootstrap_servers} answers")
        judge_topics(topics, found, findings)


def _check_model(groups: Mapping[str, Any], findings: Findings) -> None:
    from worker.app.recurrent import check_topics
    from worker.app.sampling import sampling_for
    from worker.models.build import load_model
    from worker.models.preparation import frame_decoder
    from worker.settings.offline import Groups
    from worker.tuning.in_force import in_force

    try:
        found = in_force(Groups.of(groups))
        model = found.groups.model
        loaded = load_model(model)
        frame_decoder(loaded.preprocessing, model, max_pixels=Limits().max_pixels)
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


def _print(findings: Findings) -> None:
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
