"""What a worker needs of the cluster: its topics as they must be, and the rights to use them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from worker.adapters.kafka import KafkaAdmin, NotAllowed, Topic
from worker.settings import Kafka, Topics
from worker.settings.topics import HEADERS, NEEDS


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

    def add(self, others: "Findings") -> None:
        """Add the results of another check."""
        self.faults.extend(others.faults)
        self.warnings.extend(others.warnings)
        self.facts.extend(others.facts)


def judge_cluster(admin: KafkaAdmin, kafka: Kafka, topics: Topics) -> Findings:
    """Compare the cluster's topics and this user's rights with the worker's requirements.

    Raises:
        BrokerUnreachable: no broker answered in time.
    """
    findings, found, hidden = Findings(), dict[str, Topic](), set[str]()
    for role, name in topics.in_use().items():
        try:
            found |= admin.topics([name])
        except NotAllowed as error:
            findings.faults.append(f"topics.{role}: {error}")
            hidden.add(name)
    judge_topics(topics, found, findings, hidden=hidden)
    rights = admin.group_rights(kafka.group_id)
    if rights is not None and "READ" not in rights:
        findings.faults.append(
            f"kafka.group_id: this user may not be a member of group {kafka.group_id!r}: allow it to Read the group"
        )
    return findings


def judge_topics(
    wanted: Topics, found: Mapping[str, Topic], findings: Findings, *, hidden: Collection[str] = ()
) -> None:
    """Compare the existing topics with the worker's requirements.

    Args:
        wanted: the topics of the settings.
        found: those that exist, by name.
        findings: get what was found.
        hidden: names of topics that this user may not see.
    """
    frames = found.get(wanted.frames)
    for role, name in wanted.in_use().items():
        if name not in found and name not in hidden:
            findings.faults.append(_missing(role, name, frames))
    existing = {role: found[name] for role, name in wanted.in_use().items() if name in found}
    for role, topic in existing.items():
        findings.facts.append(f"topics.{role}: {topic.name!r} has {topic.partitions} partitions")
        findings.faults.extend(_forbidden(role, topic))
        findings.faults.extend(_wrong_cleanup(role, topic))
        findings.warnings.extend(_offline(role, topic))
        findings.warnings.extend(_compacted(role, topic))
        if frames and NEEDS[role].partitions_as_frames:
            findings.warnings.extend(_too_few_partitions(role, topic, frames))
        if frames and NEEDS[role].room_for_frames:
            findings.warnings.extend(_too_small_records(role, topic, frames))
    unknown = [repr(topic.name) for topic in existing.values() if topic.config_hidden]
    if unknown:
        findings.warnings.append(
            f"topics: this user may not read the configuration of {', '.join(unknown)}, so cleanup.policy and "
            "max.message.bytes were not checked: allow it to DescribeConfigs the topics"
        )


def _missing(role: str, name: str, frames: Topic | None) -> str:
    needs = NEEDS[role]
    size = f" with {frames.partitions} partitions" if frames and needs.direction == "output" else ""
    policy = f" and cleanup.policy={needs.cleanup_policy}" if needs.cleanup_policy else ""
    return f"topics.{role}: topic {name!r} does not exist; create it{size}{policy}"


def _forbidden(role: str, topic: Topic) -> Iterator[str]:
    if topic.rights is None:  # an old broker, which does not tell
        return
    missing = [right.capitalize() for right in NEEDS[role].rights if right not in topic.rights]
    if missing:
        yield f"topics.{role}: this user may not {' and '.join(missing)} {topic.name!r}: allow it to, with an ACL"


def _offline(role: str, topic: Topic) -> Iterator[str]:
    if topic.offline:
        numbers = ", ".join(map(str, topic.offline))
        yield (
            f"topics.{role}: partitions {numbers} of {topic.name!r} have no leader, so nobody can read or write them: "
            "start the brokers that have their replicas"
        )


def _too_few_partitions(role: str, topic: Topic, frames: Topic) -> Iterator[str]:
    if topic.partitions < frames.partitions:
        yield (
            f"topics.{role}: {topic.name!r} has {topic.partitions} partitions and {frames.name!r} has "
            f"{frames.partitions}; results go to the partition number of their frame, so frames of the partitions from "
            f"{topic.partitions} on wait until you add {frames.partitions - topic.partitions}"
        )


def _wrong_cleanup(role: str, topic: Topic) -> Iterator[str]:
    needs, policy = NEEDS[role], topic.config.get("cleanup.policy")
    if policy is None:  # this user may not read the topic's configuration
        return
    if needs.cleanup_policy and policy != needs.cleanup_policy:
        yield (
            f"topics.{role}: {topic.name!r} has cleanup.policy={policy}; set it to {needs.cleanup_policy}, or "
            f"{needs.lost_unless_compacted} are lost when old records are deleted"
        )
    if needs.lost_if_compacted and "compact" in policy:
        yield (
            f"topics.{role}: {topic.name!r} has cleanup.policy={policy}; set it to delete, or "
            f"{needs.lost_if_compacted} are lost when newer records replace them"
        )


def _compacted(role: str, topic: Topic) -> Iterator[str]:
    """Warn of a topic that somebody may have compacted on purpose."""
    needs, policy = NEEDS[role], topic.config.get("cleanup.policy", "")
    if "compact" in policy and not (needs.lost_if_compacted or needs.cleanup_policy):
        yield (
            f"topics.{role}: {topic.name!r} has cleanup.policy={policy}, so only the newest record of each camera is "
            "kept; set it to delete if all of them matter"
        )


def _too_small_records(role: str, topic: Topic, frames: Topic) -> Iterator[str]:
    largest, room = (int(each.config.get("max.message.bytes", 0)) for each in (frames, topic))
    if largest and room < largest + HEADERS:
        yield (
            f"topics.{role}: {topic.name!r} has max.message.bytes={room}, the frames' topic {largest}; what "
            f"is made of a frame of that size would not fit, and would stop the worker: set {largest + HEADERS} or more"
        )
