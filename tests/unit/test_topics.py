from worker.adapters.kafka import Topic
from worker.app.requirements import Findings, judge_topics
from worker.cli.tail import Kind
from worker.settings import Topics
from worker.settings.topics import HEADERS, NEEDS, replay_marks

ALL = Topics(skipped="skipped", annotated="annotated", state="state")
"""Those that are unset by default too."""


def test_every_topic_that_can_be_set_is_in_the_list() -> None:
    assert list(NEEDS) == list(Topics.model_fields)


def test_topics_made_by_the_list_pass_the_check() -> None:
    topics, findings = ALL, Findings()
    specs = topics.specs(partitions=3, largest_frame=1000)
    judge_topics(topics, {each.name: Topic(*each) for each in specs}, findings)

    assert (findings.faults, findings.warnings) == ([], [])
    assert len(findings.facts) == len(NEEDS)


def test_a_spec_says_what_the_topic_needs_and_leaves_the_rest_to_the_broker() -> None:
    frames, predictions, accuracy, dead_letters = Topics().specs(partitions=3, largest_frame=1000)

    assert frames == ("frames", 3, {"max.message.bytes": "1000"})
    assert predictions == ("predictions", 3, {})
    assert accuracy == ("accuracy", 3, {"cleanup.policy": "compact"})
    assert dead_letters == ("dead-letters", 3, {"max.message.bytes": str(1000 + HEADERS)})
    assert not any("max.message.bytes" in each.config for each in Topics().specs(partitions=3))


def test_a_topic_that_is_unset_is_not_made_and_one_that_is_set_is() -> None:
    *_, skipped, annotated, state = ALL.specs(partitions=3, largest_frame=1000)

    assert set(ALL.in_use()) - set(Topics().in_use()) == {"skipped", "annotated", "state"}
    assert len(Topics().specs(partitions=3)) == len(NEEDS) - 3
    assert skipped == ("skipped", 3, {})
    assert annotated == ("annotated", 3, {"max.message.bytes": str(1000 + HEADERS)})
    assert state == ("state", 3, {"cleanup.policy": "compact"})


def test_topics_with_a_prefix_keep_their_usual_names_behind_it_and_the_others_stay_unset() -> None:
    assert Topics.with_prefix("run").model_dump() == {
        "frames": "run-frames",
        "predictions": "run-predictions",
        "accuracy": "run-accuracy",
        "dead_letters": "run-dead-letters",
        "skipped": None,
        "annotated": None,
        "state": None,
    }


def test_marks_of_replays_are_compacted_and_named_after_the_dead_letters() -> None:
    assert replay_marks("dead-letters") == ("dead-letters-replayed", 1, {"cleanup.policy": "compact"})


def test_tail_shows_every_output_for_people_to_read() -> None:
    unread = {"annotated", "state"}
    outputs = [role for role, needs in NEEDS.items() if needs.direction == "output" and role not in unread]

    assert [kind.value for kind in Kind] == [role.replace("_", "-") for role in outputs]
    assert {kind.value for kind in Kind} - {"skipped"} <= set(Topics().in_use().values())
