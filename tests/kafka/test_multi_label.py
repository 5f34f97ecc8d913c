"""A model that names several classes on a real Kafka: a worker is killed, and every frame is counted once."""

from pathlib import Path

import pytest

from tests.support.through_kafka import through_kafka
from tests.support.tints import TINTS, counted_by_hand, tinted_frames, write_tints_model
from worker import wire

FRAMES = 1500


def test_what_is_named_and_counted_survives_a_killed_worker(bootstrap_servers: str, tmp_path: Path) -> None:
    model, expected = write_tints_model(tmp_path, task="multi_label"), counted_by_hand(FRAMES)
    passed = through_kafka(bootstrap_servers, tmp_path, model, tinted_frames(FRAMES))
    found = [each for each in passed.predictions if isinstance(each, wire.MultiLabelMessage)]
    counts = [tally.named for tally in passed.tallies if tally.named]
    classes = [each for named in counts for each in named.classes.values()]

    assert passed.uncommitted_at_kill > 0
    assert len({each.frame.id for each in found}) == len(found) == FRAMES
    assert {name for each in found for name in each.named} == set(TINTS)
    assert sum(each.correct is not None and each.correct.exact for each in found) == expected["exact"]
    assert {
        "seen": passed.total("seen"),
        "labelled": passed.total("labelled"),
        "exact": sum(named.exact for named in counts),
        "hits": sum(each.hits for each in classes),
        "misses": sum(each.misses for each in classes),
        "false_alarms": sum(each.false_alarms for each in classes),
    } == expected


@pytest.mark.thorough
def test_one_score_for_two_classes_is_counted_once_too(bootstrap_servers: str, tmp_path: Path) -> None:
    passed = through_kafka(bootstrap_servers, tmp_path, write_tints_model(tmp_path), tinted_frames(FRAMES))
    found = [each for each in passed.predictions if isinstance(each, wire.PredictionMessage)]

    assert len({each.frame.id for each in found}) == len(found) == FRAMES
    assert all(sum(each.probability for each in message.classes) > 0.999 for message in found)
    right = sum(message.correct is not None and message.correct.top1 for message in found)
    assert (passed.total("seen"), passed.total("correct_top1")) == (FRAMES, right)
