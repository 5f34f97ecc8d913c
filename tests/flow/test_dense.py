"""Detectors, segmenters and embeddings through the whole loop: messages, counts, a restart, and pictures for people."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from tests.support.bright import LABELS, LETTERBOX, with_rectangles, write_bright_model
from tests.support.flow import TOPICS, Flow
from tests.support.frames import a_record
from tests.support.models import open_model, small_model
from tests.support.pictures import JPEG, PNG
from tests.support.real_flow import flow_over
from worker import wire
from worker.app.annotator import Annotator
from worker.domain.boxes import Box, TrueBox, overlap, write_boxes
from worker.domain.frames import Frame
from worker.domain.pictures import PictureRules
from worker.domain.records import Record, TopicPartition
from worker.domain.results import HitCounts
from worker.domain.tallies import Tally
from worker.models.loaded import LoadedModel

PARTITION = TopicPartition("frames", 0)
PLACE, ELSEWHERE = Box(60, 50, 160, 130), Box(200, 150, 300, 220)


def sent(
    offset: int, shown: dict[str, Box], truth: Sequence[tuple[str, Box]] | None, label: str | None = None
) -> Record:
    headers = [] if truth is None else [("boxes", write_boxes(TrueBox(*each) for each in truth).encode())]
    headers += [("label", label.encode())] if label else []
    picture = PNG(with_rectangles(320, 240, **shown))
    return a_record(offset, value=picture, headers=tuple(headers), timestamp=1_700_000_000_000 + 100 * offset)


RECORDS = [
    sent(0, {"white": PLACE}, [("white", PLACE)]),  # a hit
    sent(1, {"white": PLACE, "blue": ELSEWHERE}, [("white", PLACE)]),  # and a false alarm
    sent(2, {"white": PLACE}, [("blue", PLACE)]),  # a miss and a false alarm
    sent(3, {"white": PLACE}, None, label="white"),  # nothing is known
    sent(4, {}, []),  # nothing is there
    sent(5, {"blue": PLACE}, [("blue", PLACE), ("zebra", ELSEWHERE)]),  # a hit, and a class that it does not have
    sent(6, {"white": ELSEWHERE}, [("white", PLACE)]),  # a miss and a false alarm
]
COUNTS = HitCounts(hits=3, misses=3, false_alarms=3)


def flow_of(model: LoadedModel, records: Sequence[Record] = RECORDS, **rest: Any) -> Flow:
    return flow_over(PARTITION, records, model, **rest)


def messages(flow: Flow) -> list[Any]:
    return [wire.decode_message(each.value or b"") for each in flow.sink.published if each.topic == "predictions"]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return open_model(write_bright_model(tmp_path_factory.mktemp("bright")))


def test_boxes_and_their_comparison_with_the_truth_are_published(detector: LoadedModel) -> None:
    flow = flow_of(detector)
    found = messages(flow)

    assert flow.committed() == {PARTITION: 7}
    assert not flow.dead_letters()
    assert [each.counts for each in found] == [
        *({"white": 1}, {"white": 1, "blue": 1}, {"white": 1}, {"white": 1}, {}, {"blue": 1}, {"white": 1})
    ]
    assert all(overlap(Box(*found[number].boxes[0].box), PLACE) > 0.95 for number in (0, 2, 3, 5))
    assert [each.correct and (each.correct.hits, each.correct.misses, each.correct.false_alarms) for each in found] == [
        *((1, 0, 0), (1, 0, 1), (0, 1, 1), None, (0, 0, 0), (1, 1, 0), (0, 1, 1))
    ]
    assert found[3].truth is None
    assert [each.label for each in found[5].truth] == ["blue", "zebra"]


def test_hits_misses_and_false_alarms_are_counted(detector: LoadedModel) -> None:
    flow = flow_of(detector)
    tally = flow.tallies()[-1]

    assert (tally.seen, tally.labelled, tally.boxes) == (7, 6, COUNTS)
    for verdict, count in COUNTS._asdict().items():
        assert flow.metric("boxes_total", camera="cam-1", verdict=verdict) == count
    assert flow.metric("labelled_total", camera="cam-1") == 6
    assert flow.metric("unknown_labels_total", camera="cam-1") == 1  # the zebra; the label of frame 3 means nothing


@pytest.mark.parametrize("read", range(len(RECORDS)))
def test_a_restart_counts_each_frame_once(detector: LoadedModel, read: int) -> None:
    """The second worker begins at offset 0 once more, as after a crash before the commit."""
    first = flow_of(detector, RECORDS[:read]).tallies()
    last: list[Tally] = first[-1:]
    second = flow_of(detector, RECORDS, published_before=lambda: last)

    assert (second.tallies()[-1].boxes, second.tallies()[-1].labelled) == (COUNTS, 6)


def test_pictures_for_people_show_the_boxes(detector: LoadedModel) -> None:
    def raising(frame: Frame, error: Exception) -> None:
        raise AssertionError(f"{frame.frame_id}: {error}")

    annotator = Annotator(1000, PictureRules(max_pixels=1_000_000), failed=raising)
    topics = replace(TOPICS, annotated="seen")
    flow = flow_of(detector, RECORDS[:1], topics=topics, annotate=annotator)
    (picture,) = [each for each in flow.sink.published if each.topic == "seen"]
    drawn = cv2.imdecode(np.frombuffer(picture.value or b"", np.uint8), cv2.IMREAD_COLOR_RGB)
    assert drawn is not None
    plain = with_rectangles(320, 240, white=PLACE)

    changed = np.abs(drawn.astype(int) - plain).max(axis=2) > 60
    assert changed[90, 55:65].any()  # an edge of the box
    assert not changed[80:100, 90:130].any()  # its inside


class BrightAreas(nn.Module):
    """Gives each place the class 1 where it is bright, else 0."""

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        bright = pictures.mean(dim=1)
        return {"out": torch.stack([torch.full_like(bright, 0.5), bright], dim=1)}


class Means(nn.Module):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(dim=(2, 3))


@pytest.mark.parametrize("masks", [False, True])
def test_areas_are_published(masks: bool) -> None:  # noqa: FBT001 a case
    model = small_model(BrightAreas(), preprocessing=LETTERBOX, labels=LABELS[:2], task="segment", masks=masks)
    flow = flow_of(model, [sent(0, {"white": Box(0, 0, 160, 240)}, [("white", PLACE)], label="white")])
    (message,) = messages(flow)

    assert [(each.name, each.share) for each in message.shares] == [("background", 0.5), ("white", 0.5)]
    assert (message.mask is not None) == masks
    if masks:
        pixels = cv2.imdecode(np.frombuffer(message.mask.png, np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        assert pixels.shape == (96, 128)
        assert message.mask.covers == (0, 0, 320, 240)
        assert pixels[:, :64].all()
        assert not pixels[:, 64:].any()
    assert flow.tallies()[-1].labelled == 0
    assert flow.metric("unknown_labels_total", camera="cam-1") is None


def test_vectors_are_published() -> None:
    model = small_model(Means(), preprocessing=replace(LETTERBOX, pad=False), task="embed", labels=("none",))
    (message,) = messages(flow_of(model, [sent(0, {"blue": Box(0, 0, 160, 240)}, None, label="x")]))

    assert message.vector == pytest.approx([0, 0, 0.5], abs=0.01)


def test_a_frame_whose_boxes_cannot_be_read_is_a_dead_letter(detector: LoadedModel) -> None:
    bad = replace(RECORDS[0], headers=(("boxes", b"[1]"),))
    flow = flow_of(detector, [bad, replace(RECORDS[1], value=JPEG(with_rectangles(320, 240, white=PLACE)))])

    assert len(flow.dead_letters()) == len(messages(flow)) == 1
