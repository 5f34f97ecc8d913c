"""What a worker needs of the cluster: its topics as they must be, and the rights to use them."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from worker.adapters.kafka import KafkaAdmin, NotAllowed, Topic
from worker.app.topic_plan import MARKS_ROLE, Change, TopicPlan, plan_topics
from worker.settings import Kafka, Topics
from worker.settings.topics import NEEDS, replay_marks


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a check. Each begins with the name of what it is about, and a colon.

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

    def consistent(self) -> "Findings":
        """Return the same without facts about what has a fault or a warning: nothing is both right and wrong."""
        wrong = {_subject(each) for each in (*self.faults, *self.warnings)}
        return Findings(self.faults, self.warnings, [each for each in self.facts if _subject(each) not in wrong])


def _subject(finding: str) -> str:
    return finding.partition(":")[0]


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
    with suppress(NotAllowed):  # only a replay of dead letters needs this topic
        found |= admin.topics([replay_marks(topics.dead_letters).name])
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
    for plan in plan_topics(wanted, found):
        setting = "topics" if plan.role == MARKS_ROLE else f"topics.{plan.role}"
        if plan.now is None:
            if plan.role != MARKS_ROLE and plan.name not in hidden:  # the first replay creates the topic of marks
                findings.faults.append(f"{setting}: {_missing(plan)}")
            continue
        for change in plan.changes:
            to = findings.faults if change.weight == "fault" else findings.warnings
            to.append(f"{setting}: {_wrong(plan.name, change)}")
        if plan.role != MARKS_ROLE:
            findings.facts.append(f"{setting}: {plan.name!r} has {_partitions(plan.now.partitions)}")
            findings.faults.extend(_forbidden(plan.role, plan.now))
            findings.warnings.extend(_offline(plan.role, plan.now))
            findings.warnings.extend(_compacted(plan.role, plan.now))
    unknown = [repr(name) for name in wanted.in_use().values() if name in found and found[name].config_hidden]
    if unknown:
        findings.warnings.append(
            f"topics: this user may not read the configuration of {', '.join(unknown)}, so cleanup.policy and "
            "max.message.bytes were not checked: allow it to DescribeConfigs the topics"
        )


def _missing(plan: TopicPlan) -> str:
    config = "".join(f" and {option}={value}" for option, value in plan.config.items() if option == "cleanup.policy")
    return (
        f"topic {plan.name!r} does not exist; create it with {_partitions(plan.partitions)}{config}, as "
        "vision-worker topics apply does"
    )


def _wrong(name: str, change: Change) -> str:
    if change.option == "partitions":
        has, do = _partitions(int(change.before)), f"add {int(change.after) - int(change.before)}"
    else:
        has, do = f"{change.option}={change.before}", f"set it to {change.after}"
    return f"{name!r} has {has}, so {change.reason}; {do}, as vision-worker topics apply does"


def _partitions(number: int) -> str:
    return f"{number} partition" if number == 1 else f"{number} partitions"


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


def _compacted(role: str, topic: Topic) -> Iterator[str]:
    """Warn of a topic that somebody may have compacted on purpose."""
    needs, policy = NEEDS[role], topic.config.get("cleanup.policy", "")
    if "compact" in policy and not (needs.lost_if_compacted or needs.cleanup_policy):
        yield (
            f"topics.{role}: {topic.name!r} has cleanup.policy={policy}, so only the newest record of each camera is "
            "kept; set it to delete if all of them matter"
        )
