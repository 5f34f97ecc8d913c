"""The messages of detectors, segmenters and embeddings: there and back, and as the stored samples say."""

import json
from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction
from tests.support.schemas import check_json, sample
from worker import wire
from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import Frame
from worker.domain.png import grey_png
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.results import (
    AreaShare,
    BoxVerdict,
    Detected,
    Detections,
    Embedding,
    HitCounts,
    Mask,
    ModelIdentity,
    Prediction,
    Result,
    Segmentation,
)
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import Window

NOW = EventMillis(1_700_000_000_310)
sides = st.tuples(*(st.floats(0, 4000).map(lambda each: round(each, 2)),) * 4).map(lambda each: Box(*each))
names = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1, max_size=9)
shares = st.floats(0.001, 1).map(lambda each: round(each, 6))
counts = st.builds(HitCounts, *(st.integers(0, 99),) * 3)


def predicted(result: Result, **rest: object) -> Prediction:
    return replace(a_prediction(a_frame(12, partition=3, label="cat")), result=result, **rest)  # type: ignore[arg-type]


@given(
    st.lists(st.builds(Detected, st.integers(1, 90), names, shares, sides), max_size=4),
    st.none() | st.lists(st.builds(TrueBox, names, sides), max_size=3).map(tuple),
    counts,
)
def test_detections_fit_their_schema_and_read_back(
    found: list[Detected], truth: tuple[TrueBox, ...] | None, compared: HitCounts
) -> None:
    verdict = None if truth is None else BoxVerdict(compared, ("zebra",))
    frame = replace(a_frame(12, partition=3).frame, boxes=truth)
    prediction = predicted(Detections(tuple(found)), frame=frame, verdict=verdict)
    sent = wire.render_prediction("predictions", prediction, published_at=NOW)
    document = check_json("detection", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.DetectionMessage)
    assert sent.partition == 3
    assert [Detected(each.index, each.name, each.score, Box(*each.box)) for each in message.boxes] == found
    assert sum(message.counts.values()) == len(found)
    written = None if message.truth is None else tuple(TrueBox(each.label, Box(*each.box)) for each in message.truth)
    assert written == truth
    assert document["correct"] == (None if truth is None else compared._asdict())
    assert "label" not in document
    assert msgspec.json.encode(message) == sent.value


@given(st.lists(st.builds(AreaShare, st.integers(0, 255), names, shares), min_size=1, max_size=4), sides | st.none())
def test_areas_fit_their_schema_and_read_back(areas: list[AreaShare], covers: Box | None) -> None:
    png = grey_png(np.arange(12, dtype=np.uint8).reshape(3, 4))
    prediction = predicted(Segmentation(tuple(areas), None if covers is None else Mask(png, covers)))
    sent = wire.render_prediction("predictions", prediction, published_at=NOW)
    check_json("segmentation", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.SegmentationMessage)
    assert [AreaShare(each.index, each.name, each.share) for each in message.shares] == areas
    assert (message.mask and (message.mask.png, Box(*message.mask.covers))) == (covers and (png, covers))
    assert msgspec.json.encode(message) == sent.value


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_a_vector_fits_its_schema_and_reads_back_to_the_bit(vector: list[float]) -> None:
    sent = wire.render_prediction("predictions", predicted(Embedding(tuple(vector))), published_at=NOW)
    check_json("embedding", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.EmbeddingMessage)
    assert message.vector == vector
    assert msgspec.json.encode(message) == sent.value


LAST = Frame(
    Position(TopicPartition("frames", 3), 1234),
    "north-gate",
    "north-gate-000042",
    EventMillis(1_700_000_000_123),
    EventMillis(1_700_000_000_150),
    Monotonic(0.0),
    boxes=(TrueBox("cup", Box(10.0, 40.0, 96.0, 121.0)),),
)
CUPS = (
    Detected(47, "cup", 0.875, Box(12.5, 40.25, 96.0, 120.0)),
    Detected(47, "cup", 0.625, Box(200.0, 40.0, 260.0, 110.5)),
)
CAT = Segmentation(
    (AreaShare(0, "__background__", 0.5), AreaShare(8, "cat", 0.5)),
    Mask(grey_png(np.array([[0, 0, 8], [0, 8, 8]], np.uint8)), Box(0.0, 0.0, 480.0, 320.0)),
)


@pytest.mark.parametrize(
    ("kind", "model", "result"),
    [
        ("detection", "fcos_resnet50_fpn", Detections(CUPS)),
        ("segmentation", "lraspp_mobilenet_v3_large", CAT),
        ("embedding", "resnet18", Embedding((0.25, 0.0, 1.5))),
    ],
)
def test_a_prediction_is_written_as_the_stored_sample_byte_for_byte(kind: str, model: str, result: Result) -> None:
    prediction = predicted(
        result,
        frame=LAST,
        window=Window(EventMillis(1_700_000_000_000), EventMillis(1_700_000_001_000)),
        model=ModelIdentity(model, "5c1a7c0f1b2d"),
        verdict=BoxVerdict(HitCounts(1, 0, 1)) if kind == "detection" else None,
        seconds={"gather": 0.1, "decode": 0.012, "classify": 0.04},
    )
    written = json.dumps(sample(kind), separators=(",", ":")).encode()

    assert wire.render_prediction("predictions", prediction, published_at=NOW).value == written
    assert msgspec.json.encode(wire.decode_message(written)) == written


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (97, 61), (520, 924)])
def test_a_png_of_classes_reads_back(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    read = cv2.imdecode(np.frombuffer(grey_png(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(np.asarray(read), pixels)


@given(counts, st.integers(0, 2**60))
def test_a_detectors_accuracy_fits_its_schema_and_reads_back_whole(boxes: HitCounts, next_offset: int) -> None:
    tally = Tally(TallyKey(FRAMES, "cam-1", MODEL), NOW, seen=9, labelled=4, next_offset=next_offset, boxes=boxes)
    sent = wire.render_accuracy("accuracy", tally, published_at=NOW)
    document = check_json("accuracy", sent.value)
    record = Record(Position(FRAMES, 0), sent.key, sent.value, sent.headers, NOW)

    assert document["accuracy"] == {"top1": None, "top5": None}
    assert document["detection"] == {**boxes._asdict(), "precision": boxes.precision, "recall": boxes.recall}
    assert wire.parse_accuracy(record) == tally


def test_the_accuracy_of_other_models_says_nothing_of_boxes_and_an_old_record_is_read() -> None:
    key = TallyKey(FRAMES, "cam-1", MODEL)
    tally = Tally(key, NOW, seen=9, labelled=4, correct_top1=2, correct_top5=3, topic_id="NCHpi2yKR4aPQtelZrZ7yw")
    sent = wire.render_accuracy("accuracy", tally, published_at=NOW)

    assert list(json.loads(sent.value or b"")) == list(sample("accuracy"))
    assert wire.parse_accuracy(Record(Position(FRAMES, 0), sent.key, sent.value, (), NOW)) == tally
