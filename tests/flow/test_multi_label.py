"""Models that decide each class on its own, through the whole loop: messages, counts, metrics and a restart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.flow import TOPICS, Flow
from tests.support.frames import a_record
from tests.support.models import open_model
from tests.support.pictures import PNG
from tests.support.real_flow import flow_over
from tests.support.schemas import check_json
from tests.support.tints import tinted, write_tints_model
from worker import wire
from worker.adapters.memory import Assign, MemorySink, Revoke
from worker.app.annotator import Annotator
from worker.domain.frames import Frame
from worker.domain.label_lists import write_labels
from worker.domain.pictures import PictureRules
from worker.domain.records import Record, TopicPartition
from worker.domain.results import HitCounts
from worker.domain.tallies import NamedCounts, Tally
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup

PARTITION = TopicPartition("frames", 0)


def sent(offset: int, shown: Sequence[str], label: str | None) -> Record:
    headers = () if label is None else (("label", label.encode()),)
    return a_record(offset, value=PNG(tinted(shown)), headers=headers, timestamp=1_700_000_000_000 + 100 * offset)


RECORDS = [
    sent(0, ["red", "blue"], write_labels(["blue", "red"])),  # exact
    sent(1, ["red", "blue"], "red"),  # a false alarm: Jaccard 1/2
    sent(2, ["green"], write_labels(["green", "red", "blue"])),  # two misses: 1/3
    sent(3, [], "[]"),  # exact: nothing is there, and nothing is named
    sent(4, ["red"], None),  # nothing is known
    sent(5, ["red"], write_labels(["red", "violet"])),  # a class that it does not have
    sent(6, ["blue"], write_labels(["red"])),  # a false alarm and a miss: 0
    sent(7, ["green"], "[]"),  # a false alarm: 0
]
COUNTED = NamedCounts(
    exact=2,
    jaccard=2 + 1 / 2 + 1 / 3,
    classes={
        "blue": HitCounts(hits=1, misses=1, false_alarms=2),
        "green": HitCounts(hits=1, misses=0, false_alarms=1),
        "red": HitCounts(hits=2, misses=2, false_alarms=0),
    },
)


def flow_of(model: LoadedModel, records: Sequence[Record] = RECORDS, **rest: Any) -> Flow:
    return flow_over(PARTITION, records, model, **rest)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return open_model(write_tints_model(tmp_path_factory.mktemp("several"), task="multi_label"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return open_model(write_tints_model(tmp_path_factory.mktemp("binary")))


def test_what_is_named_and_how_it_compares_is_published(several: LoadedModel) -> None:
    flow = flow_of(several)
    for record in flow.sink.published:
        kind = {"predictions": "multi-label-prediction", "accuracy": "accuracy"}[record.topic]
        check_json(kind, record.value)
    found = [each for each in flow.messages() if isinstance(each, wire.MultiLabelMessage)]

    assert flow.committed() == {PARTITION: len(RECORDS)}
    assert [set(each.named) for each in found] == [
        *({"red", "blue"}, {"red", "blue"}, {"green"}, set(), {"red"}, {"red"}, {"blue"}, {"green"})
    ]
    assert [each.correct and each.correct.exact for each in found] == [
        True,
        False,
        False,
        True,
        None,
        None,
        False,
        False,
    ]
    assert found[1].correct == wire.NamedField(exact=False, jaccard=0.5, hits=["red"], misses=[], false_alarms=["blue"])
    assert found[5].label == '["red", "violet"]'


def test_exact_matches_jaccard_and_each_class_are_counted(several: LoadedModel) -> None:
    flow = flow_of(several)
    tally = flow.tallies()[-1]

    assert (tally.seen, tally.labelled, tally.top1) == (8, 6, None)
    assert tally.named is not None
    assert (tally.named.exact, tally.named.classes) == (COUNTED.exact, COUNTED.classes)
    assert tally.named.jaccard == pytest.approx(COUNTED.jaccard)
    assert flow.metric("labelled_total", camera="cam-1") == 6
    assert flow.metric("unknown_labels_total", camera="cam-1") == 1
    assert flow.metric("multi_label_total", camera="cam-1", measure="exact") == 2
    assert flow.metric("multi_label_total", camera="cam-1", measure="jaccard") == pytest.approx(COUNTED.jaccard)
    assert [
        flow.metric("named_classes_total", camera="cam-1", verdict=each) for each in ("hits", "misses", "false_alarms")
    ] == [4, 3, 3]
    assert flow.metric("correct_total", camera="cam-1", top="1") is None


@pytest.mark.parametrize("exactly_once", [False, True])
@pytest.mark.parametrize("read", range(len(RECORDS)))
def test_a_restart_counts_each_frame_once(several: LoadedModel, read: int, exactly_once: bool) -> None:  # noqa: FBT001
    """The second worker begins at offset 0 once more, as after a crash before the commit."""
    sink = MemorySink(commit=lambda _: None) if exactly_once else MemorySink()
    first = flow_of(several, RECORDS[:read], sink=sink).tallies()
    last: list[Tally] = first[-1:]
    second = flow_of(several, RECORDS, published_before=lambda: last)

    tally = second.tallies()[-1]
    assert (tally.seen, tally.labelled) == (8, 6)
    assert tally.named is not None
    assert (tally.named.exact, tally.named.classes) == (COUNTED.exact, COUNTED.classes)
    assert tally.named.jaccard == pytest.approx(COUNTED.jaccard)


def test_series_of_a_camera_go_with_its_partition(several: LoadedModel) -> None:
    decode = frame_decoder(several.preprocessing, ModelGroup(name="any"), Limits())
    flow = Flow([Assign([PARTITION]), RECORDS, Revoke([PARTITION])], model=several, decode=decode).run()
    assert flow.tallies()[-1].labelled == 6
    assert flow.metric("multi_label_total", camera="cam-1", measure="exact") is None
    assert flow.metric("named_classes_total", camera="cam-1", verdict="hits") is None


def test_one_score_for_two_classes_is_counted_as_any_classification(binary: LoadedModel) -> None:
    records = [
        sent(0, ["red"], "red"),
        sent(1, ["blue"], "other"),
        sent(2, ["red", "blue"], "other"),
        sent(3, [], "red"),
        sent(4, ["red"], "1"),
        sent(5, ["red"], "violet"),
    ]
    flow = flow_of(binary, records)
    for record in flow.sink.published:
        check_json({"predictions": "prediction", "accuracy": "accuracy"}[record.topic], record.value)
    tally = flow.tallies()[-1]

    assert [each.classes[0].name for each in flow.predictions()] == ["red", "other", "red", "other", "red", "red"]
    assert all(sum(each.probability for each in message.classes) == pytest.approx(1) for message in flow.predictions())
    assert (tally.seen, tally.labelled, tally.correct_top1, tally.correct_top5) == (6, 5, 3, 5)
    assert (tally.top1, tally.named) == (0.6, None)
    assert flow.metric("correct_total", camera="cam-1", top="1") == 3


def test_a_picture_for_people_shows_what_is_named(several: LoadedModel) -> None:
    def raising(frame: Frame, error: Exception) -> None:
        raise AssertionError(f"{frame.frame_id}: {error}")

    topics = replace(TOPICS, annotated="seen")
    for shown in ([], ["red", "blue"]):
        picture = PNG(tinted(shown, width=320, height=240))
        annotator = Annotator(1000, PictureRules(max_pixels=1_000_000), failed=raising)
        flow = flow_of(several, [a_record(0, value=picture)], topics=topics, annotate=annotator)
        (drawn,) = [each for each in flow.sink.published if each.topic == "seen"]
        pixels = cv2.imdecode(np.frombuffer(drawn.value or b"", np.uint8), cv2.IMREAD_COLOR_RGB)
        assert pixels is not None
        assert np.abs(pixels.astype(int) - tinted(shown, width=320, height=240)).max() > 100
