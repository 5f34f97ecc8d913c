"""What must be done to the topics so that they are as the worker needs them: values in, values out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from worker.adapters.kafka import Topic
from worker.domain.errors import SettingsError
from worker.settings import Topics
from worker.settings.topics import NEEDS, REPLAY_MARKS, Needs, TopicSpec, replay_marks

PARTITIONS: Final = 4
"""Of a new topic of frames, and so the most workers that share it, unless another number is asked for."""
LARGEST_FRAME: Final = 4 * 2**20
"""Bytes of the largest frame that a new topic of frames takes, unless another size is asked for."""
MARKS_ROLE: Final = "replay_marks"
"""The role of the topic of marks. No setting names it: it is named after `topics.dead_letters`."""

_POLICY: Final = "cleanup.policy"
_SIZE: Final = "max.message.bytes"
_EFFECTS: Final[Mapping[tuple[str, str], str]] = {
    (_POLICY, "compact"): "the brokers delete all records of a key but the newest, and refuse records without a key",
    (_POLICY, "delete"): "the brokers keep all records of a key, and delete records by age and size",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked for beyond the worker's needs.

    Attributes:
        partitions: fewest partitions of the topic of frames.
        largest_frame: bytes of the largest frame.
        replication_factor: copies of each partition.
        config: configuration by role, under Kafka's own names.
    """

    partitions: int | None = None
    largest_frame: int | None = None
    replication_factor: int | None = None
    config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


NO_WISHES: Final = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of an existing topic.

    Attributes:
        option: what changes: `partitions`, or a configuration under Kafka's own name.
        before: its value now; empty if none is known.
        after: the value that is needed.
        reason: what goes wrong without the change.
        effect: what the change does to records, producers and consumers.
        weight: a worker does not run without it (fault), runs with a restriction (warning), or somebody asked for it.
    """

    option: str
    before: str
    after: str
    reason: str
    effect: str
    weight: Literal["fault", "warning", "asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """What must be done to one topic.

    Attributes:
        role: the field of the settings' group `topics` that names it, or `MARKS_ROLE`.
        spec: the topic as it must be, as far as the worker needs it or somebody asks for it.
        now: the topic as it is; None if it does not exist.
        changes: of an existing topic.
        impossible: what was asked for and cannot be done to an existing topic, each with what to do.
        notes: what is worth knowing and needs no change.
    """

    role: str
    spec: TopicSpec
    now: Topic | None
    changes: tuple[Change, ...] = ()
    impossible: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The topic's name."""
        return self.spec.name

    @property
    def action(self) -> Literal["create", "change", "keep"]:
        """What must be done."""
        if self.now is None:
            return "create"
        return "change" if self.changes else "keep"

    @property
    def partitions(self) -> int:
        """The number of partitions after the plan is applied."""
        return max(self.spec.partitions, self.now.partitions if self.now else 0)

    @property
    def config(self) -> dict[str, str]:
        """The configuration to set."""
        if self.now is None:
            return self.spec.config
        return {each.option: each.after for each in self.changes if each.option != "partitions"}

    def applied(self) -> Topic:
        """Return the topic as it is after the plan is applied."""
        if self.now is None:
            return Topic(*self.spec)
        return replace(self.now, partitions=self.partitions, config={**self.now.config, **self.config})


def plan_topics(topics: Topics, found: Mapping[str, Topic], wishes: Wishes = NO_WISHES) -> list[TopicPlan]:
    """Compare the topics as they are with what the worker needs and what is asked for.

    Args:
        topics: the topics of the settings.
        found: those that exist, by name.
        wishes: what is asked for beyond the needs.

    Raises:
        SettingsError: what is asked for contradicts what the worker needs.
    """
    plans = list(_plans(topics, found, wishes))
    if wishes.config:
        without = {plan.name: plan.applied() for plan in plans}
        if faults := list(_contradictions(_plans(topics, without, NO_WISHES), wishes)):
            raise SettingsError(faults)
    return plans


def read_config(topics: Topics, texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read configuration that is asked for, by role.

    Args:
        topics: the topics of the settings.
        texts: such as `frames.retention.bytes=268435456`.

    Raises:
        SettingsError: some of them are not of this form, or name no topic that is set.
    """
    found, faults = dict[str, dict[str, str]](), list[str]()
    roles = [*topics.in_use(), MARKS_ROLE]
    for text in texts:
        name, _, value = text.partition("=")
        role, _, option = name.partition(".")
        role = role.replace("-", "_")
        if not (option and value):
            faults.append(f"--set {text}: write TOPIC.NAME=VALUE, such as frames.retention.bytes=268435456")
        elif role not in roles:
            faults.append(f"--set {text}: no topic {role!r} is set; name one of {', '.join(roles)}")
        elif option == _SIZE and role == "frames":
            faults.append(f"--set {text}: the other topics must fit to this size; ask for it with --largest-frame")
        elif option == _SIZE and not value.isdecimal():
            faults.append(f"--set {text}: {value!r} is not a number of bytes; write one such as 1048576")
        else:
            found.setdefault(role, {})[option] = value
    if faults:
        raise SettingsError(faults)
    return found


def _plans(topics: Topics, found: Mapping[str, Topic], wishes: Wishes) -> Iterator[TopicPlan]:
    frames = found.get(topics.frames)
    partitions = max(wishes.partitions or 0, frames.partitions if frames else 0) or PARTITIONS
    specs = topics.specs(partitions=partitions, largest_frame=_largest_frame(frames, wishes))
    for role, spec in zip(topics.in_use(), specs, strict=True):
        yield _plan(role, NEEDS[role], spec, found.get(spec.name), wishes)
    marks = replay_marks(topics.dead_letters)
    yield _plan(MARKS_ROLE, REPLAY_MARKS, marks, found.get(marks.name), wishes)


def _largest_frame(frames: Topic | None, wishes: Wishes) -> int | None:
    """Return the bytes of the largest frame; None if the topic of frames exists and its size may not be read."""
    if wishes.largest_frame or frames is None:
        return wishes.largest_frame or LARGEST_FRAME
    return int(frames.config.get(_SIZE, 0)) or None


def _plan(role: str, needs: Needs, spec: TopicSpec, now: Topic | None, wishes: Wishes) -> TopicPlan:
    asked = wishes.config.get(role, {})
    spec = spec._replace(config={**spec.config, **asked})
    if now is None:
        return TopicPlan(role=role, spec=spec, now=None)
    needed = [*_partitions(needs, spec, now), *_policy(role, needs, now, asked), *_size(needs, spec, now)]
    options = {each.option for each in needed}
    wished = [each for each in _wished(role, spec, now, asked) if each.option not in options]
    return TopicPlan(
        role=role,
        spec=spec,
        now=now,
        changes=(*needed, *wished),
        impossible=tuple(_impossible(now, wishes, asked)),
        notes=tuple(_notes(role, now, wishes)),
    )


def _partitions(needs: Needs, spec: TopicSpec, now: Topic) -> Iterator[Change]:
    if needs.partitions_as_frames and now.partitions < spec.partitions:
        yield Change(
            option="partitions",
            before=str(now.partitions),
            after=str(spec.partitions),
            reason=(
                f"frames of the partitions from {now.partitions} on wait: a result goes to the partition number of its "
                "frame"
            ),
            effect="the records that the topic has stay where they are",
            weight="warning",
        )


def _policy(role: str, needs: Needs, now: Topic, asked: Mapping[str, str]) -> Iterator[Change]:
    policy = now.config.get(_POLICY)
    if policy is None:  # this user may not read the topic's configuration
        return
    if needs.lost_unless_compacted and policy != "compact":
        after, reason = "compact", f"{needs.lost_unless_compacted} are lost when old records are deleted"
    elif needs.lost_if_compacted and "compact" in policy:
        after, reason = "delete", f"{needs.lost_if_compacted} are lost when newer records replace them"
    else:
        return
    yield Change(
        option=_POLICY,
        before=policy,
        after=asked.get(_POLICY, after),
        reason=reason,
        effect=_EFFECTS[_POLICY, after],
        weight="warning" if role == MARKS_ROLE else "fault",  # a worker does not read the marks
    )


def _size(needs: Needs, spec: TopicSpec, now: Topic) -> Iterator[Change]:
    before, after = (int(each.get(_SIZE, 0)) for each in (now.config, spec.config))
    if needs.room_for_frames and 0 < before < after:
        yield Change(
            option=_SIZE,
            before=str(before),
            after=str(after),
            reason="what is made of the largest frame would not fit, and would stop the worker",
            effect="the brokers accept larger records",
            weight="warning",
        )


def _wished(role: str, spec: TopicSpec, now: Topic, asked: Mapping[str, str]) -> Iterator[Change]:
    """Yield the changes that the worker does not need."""
    if role == "frames" and now.partitions < spec.partitions:
        effect = "cameras may move to other partitions: their clips, counts and hidden states begin anew there"
        yield _asked("partitions", str(now.partitions), str(spec.partitions), effect)
    if now.config_hidden:
        return
    size = {_SIZE: spec.config[_SIZE]} if role == "frames" and _SIZE in spec.config else {}
    for option, after in {**size, **asked}.items():
        if (before := now.config.get(option, "")) != after:
            effect = _EFFECTS.get((option, after), "it applies to the records that the topic has, too")
            if option == _SIZE:
                effect = f"the brokers refuse records above {after} bytes"
            yield _asked(option, before, after, effect)


def _asked(option: str, before: str, after: str, effect: str) -> Change:
    return Change(option=option, before=before, after=after, reason="it is asked for", effect=effect, weight="asked")


def _impossible(now: Topic, wishes: Wishes, asked: Mapping[str, str]) -> Iterator[str]:
    copies, wanted = now.replication_factor, wishes.replication_factor
    if wanted and copies and wanted != copies:
        yield (
            f"the replication factor is {copies}, and {wanted} is asked for. Kafka changes it only by moving "
            "partitions: use kafka-reassign-partitions.sh, or leave --replication-factor out"
        )
    if now.config_hidden and asked:
        yield f"{', '.join(asked)}: this user may not read its configuration: allow it to DescribeConfigs, with an ACL"


def _notes(role: str, now: Topic, wishes: Wishes) -> Iterator[str]:
    if now.config_hidden:
        yield "its configuration is not compared: allow this user to DescribeConfigs it, with an ACL"
    if role != "frames":
        return
    if wishes.partitions and wishes.partitions < now.partitions:
        yield f"it keeps its {now.partitions} partitions: Kafka cannot remove partitions of a topic"
    elif now.partitions == 1 and not wishes.partitions:
        yield (
            "it has 1 partition, so only one worker at a time reads frames. Brokers that create topics themselves "
            f"(auto.create.topics.enable) make such topics. --partitions {PARTITIONS} asks for more"
        )


def _contradictions(plans: Iterator[TopicPlan], wishes: Wishes) -> Iterator[str]:
    """Yield the wishes that would have to be undone."""
    for plan in plans:
        for change in plan.changes:
            if change.option in wishes.config.get(plan.role, {}):
                yield (
                    f"--set {plan.role}.{change.option}={change.before}: {change.reason}; set it to {change.after}, or "
                    "leave it out"
                )
