import re
from dataclasses import replace

import pytest
from pydantic import ValidationError

from worker.adapters.kafka import Topic
from worker.app.requirements import Findings, judge_topics
from worker.settings import Topics
from worker.settings.topics import HEADERS

DELETE = {"cleanup.policy": "delete", "max.message.bytes": "1048588"}
COMPACT = {"cleanup.policy": "compact", "max.message.bytes": "1048588"}
ABSENT = "does not exist; create it with 6 partitions"
APPLY = ", as vision-worker topics apply does"
RIGHT = {
    "frames": Topic("frames", 6, DELETE),
    "predictions": Topic("predictions", 6, DELETE),
    "accuracy": Topic("accuracy", 8, COMPACT),
    "dead-letters": Topic("dead-letters", 1, {"max.message.bytes": str(1048588 + HEADERS)}),
}


def judged(topics: Topics | None = None, /, **changes: Topic | None) -> Findings:
    found = {name: topic for name, topic in RIGHT.items() if changes.get(name.replace("-", "_"), topic) is not None}
    found |= {topic.name: topic for topic in changes.values() if topic is not None}
    findings = Findings()
    judge_topics(topics or Topics(), found, findings)
    return findings


def test_right_topics_have_no_fault() -> None:
    findings = judged()

    assert (findings.faults, findings.warnings) == ([], [])
    assert len(findings.facts) == 4


def test_a_missing_topic_says_how_to_create_it() -> None:
    findings = judged(accuracy=None, dead_letters=None)

    assert findings.faults == [
        f"topics.accuracy: topic 'accuracy' {ABSENT} and cleanup.policy=compact{APPLY}",
        f"topics.dead_letters: topic 'dead-letters' {ABSENT}{APPLY}",
    ]


def test_too_few_partitions_say_how_many_to_add() -> None:
    findings = judged(predictions=Topic("predictions", 4, DELETE))
    (warning,) = findings.warnings

    assert findings.faults == [], "the other partitions are read"
    assert warning.startswith(
        "topics.predictions: 'predictions' has 4 partitions, so frames of the partitions from 4 on"
    )
    assert warning.endswith("; add 2, as vision-worker topics apply does")


def test_accuracy_that_is_deleted_is_a_fault() -> None:
    (fault,) = judged(accuracy=Topic("accuracy", 6, {"cleanup.policy": "compact,delete"})).faults

    assert "cleanup.policy=compact,delete, so counts are lost" in fault
    assert fault.endswith(f"; set it to compact{APPLY}")


def test_dead_letters_without_room_for_the_largest_frame_are_worth_a_warning() -> None:
    findings = judged(dead_letters=Topic("dead-letters", 1, {"max.message.bytes": "1048588"}))

    assert findings.faults == []
    assert str(1048588 + HEADERS) in findings.warnings[0]


def test_a_topic_that_is_unset_by_default_is_checked_like_the_others_once_it_is_set() -> None:
    topics = Topics(skipped="skips", annotated="seen")
    missing = judged(topics)
    poor = judged(topics, skips=Topic("skips", 5, DELETE), seen=Topic("seen", 6, {"max.message.bytes": "1048588"}))
    right = judged(topics, skips=Topic("skips", 6, DELETE), seen=Topic("seen", 6, RIGHT["dead-letters"].config))

    assert missing.faults == [
        f"topics.skipped: topic 'skips' {ABSENT}{APPLY}",
        f"topics.annotated: topic 'seen' {ABSENT}{APPLY}",
    ]
    assert poor.faults == []
    assert [warning.partition(":")[0] for warning in poor.warnings] == ["topics.skipped", "topics.annotated"]
    assert (right.faults, right.warnings, len(right.facts)) == ([], [], 6)


def test_configuration_that_may_not_be_read_is_told_once_and_is_no_fault() -> None:
    bare = {name: Topic(name, 6, config_hidden=True) for name in RIGHT}
    findings = Findings()
    judge_topics(Topics(), bare, findings)

    assert findings.faults == []
    (warning,) = findings.warnings
    assert all(repr(name) in warning for name in RIGHT)
    assert warning.endswith("allow it to DescribeConfigs the topics")


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
@pytest.mark.parametrize("role", ["frames", "dead_letters", "skipped"])
def test_records_that_newer_ones_would_replace_are_a_fault(role: str, policy: str) -> None:
    topics = Topics(skipped="skipped")
    name = topics.in_use()[role]
    config = {"cleanup.policy": policy, "max.message.bytes": str(1048588 + HEADERS * (role != "frames"))}
    changes = {"skipped": Topic("skipped", 6, DELETE), role: Topic(name, 6, config)}
    findings = judged(topics, **changes)

    (fault,) = findings.faults
    assert fault.startswith(f"topics.{role}: {name!r} has cleanup.policy={policy}, so older ")
    assert fault.endswith(f"; set it to delete{APPLY}")


def test_compacted_predictions_may_be_wanted() -> None:
    findings = judged(predictions=Topic("predictions", 6, COMPACT))

    assert findings.faults == []
    (warning,) = findings.warnings
    assert "only the newest record of each camera is kept" in warning


@pytest.mark.parametrize(
    ("role", "rights", "missing"),
    [
        ("frames", {"WRITE", "DESCRIBE"}, "Read"),
        ("predictions", {"READ", "DESCRIBE"}, "Write"),
        ("accuracy", {"DESCRIBE"}, "Read and Write"),
        ("accuracy", {"WRITE", "DESCRIBE"}, "Read"),
        ("dead_letters", {"DESCRIBE"}, "Write"),
    ],
)
def test_a_missing_right_is_named(role: str, rights: set[str], missing: str) -> None:
    name = Topics().in_use()[role]
    changes = {role: replace(RIGHT[name], rights=frozenset(rights))}
    (fault,) = judged(None, **changes).faults

    assert fault == f"topics.{role}: this user may not {missing} {name!r}: allow it to, with an ACL"


def test_rights_that_brokers_do_not_tell_are_no_fault() -> None:
    assert judged(frames=replace(RIGHT["frames"], rights=None)).faults == []


def test_partitions_without_a_leader_are_named() -> None:
    (warning,) = judged(accuracy=replace(RIGHT["accuracy"], offline=(1, 3))).warnings

    assert "partitions 1, 3 of 'accuracy' have no leader" in warning
    assert warning.endswith("start the brokers that have their replicas")


def test_a_topic_that_may_not_be_seen_is_not_called_missing() -> None:
    findings = Findings()
    judge_topics(Topics(), {n: t for n, t in RIGHT.items() if n != "accuracy"}, findings, hidden={"accuracy"})

    assert findings.faults == []


def test_nothing_is_both_right_and_wrong() -> None:
    said = judged(frames=Topic("frames", 6, COMPACT), predictions=Topic("predictions", 4, DELETE)).consistent()
    wrong = [finding.partition(":")[0] for finding in (*said.faults, *said.warnings)]
    right = [finding.partition(":")[0] for finding in said.facts]

    assert wrong == ["topics.frames", "topics.predictions"]
    assert right == ["topics.accuracy", "topics.dead_letters"]


def test_marks_of_replays_that_would_be_lost_are_worth_a_warning_and_their_absence_is_not() -> None:
    (warning,) = judged(marks=Topic("dead-letters-replayed", 1, DELETE)).warnings

    assert warning.startswith("topics: 'dead-letters-replayed' has cleanup.policy=delete, so marks of replayed")
    assert judged().warnings == []


# ----- names


@pytest.mark.parametrize(
    ("changed", "shared"),
    [
        ({"dead_letters": "frames"}, "topics.frames and topics.dead_letters are both 'frames'"),
        ({"predictions": "x", "accuracy": "x"}, "topics.predictions and topics.accuracy are both 'x'"),
        ({"skipped": "predictions"}, "topics.predictions and topics.skipped are both 'predictions'"),
        ({"state": "dead-letters-replayed"}, "topics.state and the marks of replayed dead letters are both"),
    ],
)
def test_two_topics_of_one_name_are_refused(changed: dict[str, str], shared: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(shared)):
        Topics.model_validate(changed)
