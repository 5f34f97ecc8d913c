from worker.adapters.kafka import Topic
from worker.cli.check import Findings, judge_topics
from worker.settings import Topics
from worker.settings.topics import HEADERS

COMPACT = {"cleanup.policy": "compact", "max.message.bytes": "1048588"}
RIGHT = {
    "frames": Topic("frames", 6, {"max.message.bytes": "1048588"}),
    "predictions": Topic("predictions", 6, {}),
    "accuracy": Topic("accuracy", 8, COMPACT),
    "dead-letters": Topic("dead-letters", 1, {"max.message.bytes": str(1048588 + HEADERS)}),
}


def judged(topics: Topics | None = None, **changes: Topic | None) -> Findings:
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
        "topics.accuracy: topic 'accuracy' does not exist; create it with 6 partitions and cleanup.policy=compact",
        "topics.dead_letters: topic 'dead-letters' does not exist; create it with 6 partitions",
    ]


def test_too_few_partitions_say_how_many_to_add() -> None:
    (fault,) = judged(predictions=Topic("predictions", 4, {})).faults

    assert "'predictions' has 4 partitions and 'frames' has 6" in fault
    assert fault.endswith("add 2")


def test_accuracy_that_is_deleted_is_a_fault() -> None:
    (fault,) = judged(accuracy=Topic("accuracy", 6, {"cleanup.policy": "compact,delete"})).faults

    assert "cleanup.policy=compact,delete; set it to compact" in fault


def test_dead_letters_without_room_for_the_largest_frame_are_worth_a_warning() -> None:
    findings = judged(dead_letters=Topic("dead-letters", 1, {"max.message.bytes": "1048588"}))

    assert findings.faults == []
    assert str(1048588 + HEADERS) in findings.warnings[0]


def test_a_topic_that_is_unset_by_default_is_checked_like_the_others_once_it_is_set() -> None:
    topics = Topics(skipped="skips", annotated="seen")
    missing = judged(topics)
    poor = judged(topics, skips=Topic("skips", 5, {}), seen=Topic("seen", 6, {"max.message.bytes": "1048588"}))
    right = judged(topics, skips=Topic("skips", 6, {}), seen=Topic("seen", 6, RIGHT["dead-letters"].config))

    assert missing.faults == [
        "topics.skipped: topic 'skips' does not exist; create it with 6 partitions",
        "topics.annotated: topic 'seen' does not exist; create it with 6 partitions",
    ]
    assert [fault.partition(" partitions")[0] for fault in poor.faults] == ["topics.skipped: 'skips' has 5"]
    assert [warning.partition(":")[0] for warning in poor.warnings] == ["topics.annotated"]
    assert (right.faults, right.warnings, len(right.facts)) == ([], [], 6)


def test_configuration_that_may_not_be_read_is_not_held_against_anybody() -> None:
    bare = {name: Topic(name, 6, {}) for name in RIGHT}
    findings = Findings()
    judge_topics(Topics(), bare, findings)

    assert (findings.faults, findings.warnings) == ([], [])
