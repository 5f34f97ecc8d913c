import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from worker.adapters.kafka import Topic
from worker.app.requirements import Findings, judge_topics
from worker.app.topic_plan import LARGEST_FRAME, PARTITIONS, TopicPlan, Wishes, plan_topics, read_config
from worker.cli.topic_plan import lines
from worker.domain.errors import SettingsError
from worker.settings import Topics
from worker.settings.topics import HEADERS, NEEDS

ALL = Topics(skipped="skipped", annotated="annotated", state="state")
NAMES = {**ALL.in_use(), "replay_marks": "dead-letters-replayed"}


def existing(partitions: int, policy: str, size: int = 1_000_000) -> dict[str, Topic]:
    """Return every topic, and all of them alike, as brokers make them that create topics themselves."""
    config = {"cleanup.policy": policy, "max.message.bytes": str(size)}
    return {name: Topic(name, partitions, config, replication_factor=1) for name in NAMES.values()}


def planned(found: Mapping[str, Topic], wishes: Wishes | None = None) -> dict[str, TopicPlan]:
    return {plan.role: plan for plan in plan_topics(ALL, found, wishes or Wishes())}


def applied(plans: Mapping[str, TopicPlan]) -> dict[str, Topic]:
    return {plan.name: plan.applied() for plan in plans.values()}


WISHES = (
    Wishes(),
    Wishes(partitions=6),
    Wishes(largest_frame=2_000_000),
    Wishes(partitions=2, config={"frames": {"retention.bytes": "5"}, "predictions": {"cleanup.policy": "compact"}}),
)


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("missing", [None, *NAMES])
@pytest.mark.parametrize(("partitions", "policy"), list(product([1, 5], ["delete", "compact", "compact,delete"])))
def test_after_a_plan_there_is_nothing_to_do_and_the_check_is_content(
    partitions: int, policy: str, missing: str | None, wishes: Wishes
) -> None:
    found = existing(partitions, policy)
    if missing:
        found.pop(NAMES[missing])
    after, findings = applied(planned(found, wishes)), Findings()
    judge_topics(ALL, after, findings)

    assert {plan.action for plan in planned(after, wishes).values()} == {"keep"}
    assert findings.faults == []
    assert [warning for warning in findings.warnings if not warning.endswith("if all of them matter")] == []
    assert all(after[name].partitions >= topic.partitions for name, topic in found.items())


def test_what_does_not_exist_is_created_as_the_list_says() -> None:
    plans = planned({})
    specs = ALL.specs(partitions=PARTITIONS, largest_frame=LARGEST_FRAME)

    assert {plan.action for plan in plans.values()} == {"create"}
    assert [plan.spec for role, plan in plans.items() if role in NEEDS] == specs
    assert plans["replay_marks"].spec == ("dead-letters-replayed", 1, {"cleanup.policy": "compact"})


def test_topics_that_are_right_stay_as_they_are() -> None:
    found = applied(planned({})) | {"predictions": Topic("predictions", 99, {"cleanup.policy": "compact"})}

    assert {plan.action for plan in planned(found).values()} == {"keep"}


def test_every_change_says_what_it_does_to_others() -> None:
    changes = [change for plan in planned(existing(1, "delete"), WISHES[1]).values() for change in plan.changes]

    assert {change.option for change in changes} == {"partitions", "cleanup.policy", "max.message.bytes"}
    assert all(change.reason and change.effect for change in changes)
    (frames,) = planned(existing(1, "delete"), WISHES[1])["frames"].changes
    assert (frames.before, frames.after) == ("1", "6")
    assert "begin anew" in frames.effect
    (policy, *_) = (change for change in changes if change.option == "cleanup.policy")
    assert "delete all records of a key but the newest" in policy.effect


def test_a_topic_of_frames_with_one_partition_is_worth_a_note_unless_more_are_asked_for() -> None:
    assert "auto.create.topics.enable" in planned(existing(1, "delete"))["frames"].notes[0]
    assert planned(existing(1, "delete"), Wishes(partitions=3))["frames"].notes == ()
    assert planned(existing(2, "delete"))["frames"].notes == ()


def test_partitions_are_never_removed() -> None:
    frames = planned(existing(5, "delete"), Wishes(partitions=2))["frames"]

    assert (frames.action, frames.partitions) == ("keep", 5)
    assert frames.notes == ("it keeps its 5 partitions: Kafka cannot remove partitions of a topic",)


def test_another_replication_factor_is_impossible_for_a_topic_that_exists() -> None:
    plans = planned(existing(1, "delete"), Wishes(replication_factor=3))

    assert all("the replication factor is 1, and 3 is asked for" in plan.impossible[0] for plan in plans.values())
    assert planned({}, Wishes(replication_factor=3))["frames"].impossible == ()
    assert planned(existing(1, "delete"), Wishes(replication_factor=1))["frames"].impossible == ()


def test_a_larger_frame_makes_room_for_what_is_made_of_it() -> None:
    after = applied(planned(existing(1, "delete"), Wishes(largest_frame=2_000_000)))
    smaller = applied(planned(existing(1, "delete"), Wishes(largest_frame=1000)))

    assert after["frames"].config["max.message.bytes"] == "2000000"
    for name in ("dead-letters", "annotated"):
        assert after[name].config["max.message.bytes"] == str(2_000_000 + HEADERS)
        assert smaller[name].config["max.message.bytes"] == "1000000", "larger ones may lie there"


def test_configuration_that_may_not_be_read_is_not_changed_and_is_noted() -> None:
    found = {name: Topic(name, 4, config_hidden=True) for name in NAMES.values()}
    plans = planned(found, Wishes(config={"frames": {"retention.ms": "5"}}))

    assert {plan.action for plan in plans.values()} == {"keep"}
    assert all("DescribeConfigs" in plan.notes[0] for plan in plans.values())
    assert "retention.ms: this user may not read its configuration" in plans["frames"].impossible[0]


@pytest.mark.parametrize("found", [{}, existing(4, "delete"), existing(4, "compact")])
@pytest.mark.parametrize(
    ("role", "option", "value", "needed"),
    [
        ("accuracy", "cleanup.policy", "delete", "compact"),
        ("replay_marks", "cleanup.policy", "compact,delete", "compact"),
        ("frames", "cleanup.policy", "compact", "delete"),
        ("dead_letters", "max.message.bytes", "1000", None),
    ],
)
def test_a_wish_that_the_worker_cannot_live_with_is_refused(
    found: dict[str, Topic], role: str, option: str, value: str, needed: str | None
) -> None:
    with pytest.raises(SettingsError) as caught:
        planned(found, Wishes(config={role: {option: value}}))

    (fault,) = caught.value.faults
    assert fault.startswith(f"--set {role}.{option}={value}: ")
    assert f"set it to {needed or ''}" in fault


def test_configuration_is_read_by_role() -> None:
    read = read_config(ALL, ["frames.retention.ms=5", "dead-letters.segment.bytes=7", "frames.a=b=c"])

    assert read == {"frames": {"retention.ms": "5", "a": "b=c"}, "dead_letters": {"segment.bytes": "7"}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frames", "write TOPIC.NAME=VALUE"),
        ("frames.retention.ms", "write TOPIC.NAME=VALUE"),
        ("frames.retention.ms=", "write TOPIC.NAME=VALUE"),
        ("frame.retention.ms=5", "name one of frames, predictions"),
        ("frames.max.message.bytes=5", "ask for it with --largest-frame"),
        ("annotated.max.message.bytes=1MiB", "write one such as 1048576"),
    ],
)
def test_configuration_that_cannot_be_read_says_how_to_write_it(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"--set {text}: ")) as caught:
        read_config(ALL, [text])
    assert says in caught.value.faults[0]


@pytest.mark.parametrize("wishes", [*WISHES, Wishes(replication_factor=3)])
@pytest.mark.parametrize("found", [{}, existing(1, "delete"), existing(7, "compact")])
def test_a_plan_fits_into_a_terminal(found: dict[str, Topic], wishes: Wishes) -> None:
    said = list(lines(plan_topics(ALL, found, wishes), wishes.replication_factor))

    assert all(len(line) < 80 for line in said)
    assert all(any(line.split()[2:3] == [name] for line in said) for name in NAMES.values())


def test_the_plan_of_the_page_is_what_is_shown() -> None:
    own = {"cleanup.policy": "delete", "max.message.bytes": "1048588"}
    found = {name: Topic(name, 1, own, replication_factor=1) for name in ("frames", "accuracy")}
    said = "\n".join(lines(plan_topics(Topics(), found, Wishes(partitions=4)), None))

    page = (Path(__file__).parents[2] / "docs" / "topics.md").read_text()
    assert f"```text\n{said}\nnext: vision-worker topics apply --partitions 4\n```" in page
