"""Every message against its schema in schemas/, there and back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction, a_record
from tests.support.schemas import check_headers, check_json, sample, schema, validator
from worker import wire
from worker.domain.errors import EnvelopeInvalid, Reason
from worker.domain.frames import CapturedFrame, EncodedFrame, RawLayout
from worker.domain.records import Headers, OutboundRecord, Position, Record, TopicPartition
from worker.domain.results import DeadLetter, Verdict
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis, Monotonic
from worker.wire.frame import MAX_CLOCK_AHEAD

NOW = EventMillis(1_700_000_000_500)


def parse(record: Record) -> EncodedFrame:
    return wire.parse_frame(record, arrived_at=NOW, arrived=Monotonic(7.0))


def received(sent: OutboundRecord, offset: int = 0) -> Record:
    """Return what a consumer would read."""
    position = Position(TopicPartition(sent.topic, sent.partition or 0), offset)
    return Record(position, sent.key, sent.value, sent.headers, NOW)


def a_dead_letter(record: Record) -> DeadLetter:
    return DeadLetter(
        record=record,
        reason=Reason.TRUNCATED,
        stage="decode",
        error="ImageUndecodable",
        text="the JPEG ends early: \u00fc",
        stack="Traceback ...\n",
        camera="cam-1",
        arrived_at=NOW,
    )


@pytest.mark.parametrize("kind", ["frame", "prediction", "accuracy", "dead-letter"])
def test_stored_samples_are_valid_and_a_missing_field_is_not(kind: str) -> None:
    document = sample(kind)
    validator(kind).validate(document)
    for name in schema(kind).get("required", []):
        with pytest.raises(ValidationError):
            validator(kind).validate({key: value for key, value in document.items() if key != name})


def test_stored_samples_can_be_read_by_this_version() -> None:
    prediction = wire.decode_prediction(json.dumps(sample("prediction")).encode())
    accuracy = wire.decode_accuracy(json.dumps(sample("accuracy")).encode())
    headers = tuple((name, value.encode()) for name, value in sample("dead-letter").items())

    assert (prediction.frame.offset, prediction.classes[0].name) == (1234, "espresso")
    assert (accuracy.correct.top1, accuracy.next_offset) == (60, 1235)
    assert wire.parse_dead_letter(a_record(headers=headers)).reason == "truncated"


def test_a_frame_without_headers_takes_its_identity_from_the_record() -> None:
    frame = parse(a_record(41, partition=2, key=b"gate", timestamp=1_700))

    assert (frame.frame.camera, frame.frame.frame_id, frame.frame.captured_at) == ("gate", "frames-2-41", 1_700)
    assert (frame.content_type, frame.frame.label, frame.raw, frame.frame.traceparent) == (None, None, None, None)
    assert (frame.frame.arrived_at, frame.frame.arrived, frame.data) == (NOW, 7.0, b"picture")


def test_a_frame_without_key_or_camera_id_belongs_to_its_partition() -> None:
    assert parse(a_record(partition=2, key=None)).frame.camera == "frames-2"


def test_headers_win_over_the_record_and_the_last_of_a_name_counts() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers: Headers = (
        ("camera-id", b"ignored"),
        ("camera-id", "T\u00fcr".encode()),
        ("frame-id", b"f-1"),
        ("captured-at", b"123"),
        ("content-type", b"image/png"),
        ("label", b"tabby"),
        ("traceparent", trace),
        ("x-other", None),
    )
    frame = parse(a_record(headers=headers))

    assert (frame.frame.camera, frame.frame.frame_id, frame.frame.captured_at) == ("T\u00fcr", "f-1", 123)
    assert (frame.content_type, frame.frame.label, frame.frame.traceparent) == ("image/png", "tabby", trace.decode())


def test_a_null_header_is_an_absent_one() -> None:
    frame = parse(a_record(headers=(("label", None), ("captured-at", None)), timestamp=9))

    assert (frame.frame.label, frame.frame.captured_at) == (None, 9)


def test_a_raw_picture_has_a_layout() -> None:
    headers: Headers = (("pixel-format", b"nv12"), ("width", b"640"), ("height", b"480"))

    assert parse(a_record(headers=headers)).raw == RawLayout("nv12", 640, 480)


def test_a_malformed_traceparent_is_ignored_as_its_standard_says() -> None:
    assert parse(a_record(headers=(("traceparent", b"00-xyz"),))).frame.traceparent is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("camera-id", b"", "1 to 256 characters"),
        ("camera-id", b"x" * 257, "1 to 256 characters"),
        ("camera-id", b"\xff", "utf-8"),
        ("frame-id", b"", "1 to 256 characters"),
        ("captured-at", b"yesterday", "whole number"),
        ("captured-at", b"-5", "whole number"),
        ("captured-at", b"1.5", "whole number"),
        ("captured-at", b"9" * 40, "too large"),
        ("captured-at", str(1_000 + MAX_CLOCK_AHEAD + 1).encode(), "more than an hour ahead"),
        ("label", b"\xc3\x28", "utf-8"),
        ("label", b"", "1 to 256 characters"),
        ("content-type", b"", "1 to 256 characters"),
        ("pixel-format", b"yuyv", "rgb24, bgr24"),
        ("pixel-format", b"rgb24", "needs the headers"),
        ("width", b"0", "at least 1"),
        ("height", b"tall", "whole number"),
    ],
)
def test_a_bad_header_is_named_with_what_to_send(name: str, value: bytes, text: str) -> None:
    with pytest.raises(EnvelopeInvalid, match=text) as caught:
        parse(a_record(headers=((name, value),), timestamp=1_000))

    assert caught.value.reason is Reason.BAD_HEADER
    assert name in str(caught.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(EnvelopeInvalid, match=r"camera-id.*captured-at.*width"):
        parse(a_record(headers=(("camera-id", b""), ("captured-at", b"x"), ("width", b"0"))))


def test_a_key_that_is_no_camera_id_is_a_fault_unless_the_header_names_the_camera() -> None:
    with pytest.raises(EnvelopeInvalid, match="no camera id"):
        parse(a_record(key=b"\xff\xfe"))

    assert parse(a_record(key=b"\xff\xfe", headers=(("camera-id", b"gate"),))).frame.camera == "gate"


@given(
    st.lists(st.tuples(st.sampled_from(list(schema("frame")["properties"])), st.binary(max_size=12))),
    st.binary(max_size=8) | st.none(),
)
def test_any_envelope_is_read_or_refused_and_its_camera_can_be_named(
    headers: list[tuple[str, bytes]], key: bytes | None
) -> None:
    record = a_record(key=key, headers=tuple(headers))
    try:
        frame = parse(record)
    except EnvelopeInvalid:
        assert wire.camera_of(record)
    else:
        assert frame.frame.camera == wire.camera_of(record)


identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(identifiers, identifiers | st.none(), st.integers(0, NOW), identifiers | st.none())
def test_what_a_producer_writes_is_what_the_worker_reads(
    camera: str, frame_id: str | None, captured_at: int, label: str | None
) -> None:
    captured = CapturedFrame(camera, b"jpeg", EventMillis(captured_at), "image/jpeg", frame_id, label)
    sent = wire.render_frame("frames", captured)
    check_headers("frame", sent.headers)
    frame = parse(received(sent))

    assert sent.key == camera.encode()
    assert (frame.frame.camera, frame.frame.captured_at, frame.frame.label) == (camera, captured_at, label)
    assert frame.frame.frame_id == (frame_id or "frames-0-0")
    assert frame.data == b"jpeg"


@pytest.mark.parametrize("verdict", [None, Verdict(top1=False, top5=True)])
def test_a_prediction_fits_its_schema_and_reads_back(verdict: Verdict | None) -> None:
    frame = a_frame(12, partition=3, label="cat")
    sent = wire.render_prediction("predictions", a_prediction(frame, verdict), published_at=NOW)
    check_json("prediction", sent.value)
    message = wire.decode_prediction(sent.value or b"")

    assert (sent.partition, sent.key) == (3, b"cam-1")
    assert (message.frame.topic, message.frame.partition, message.frame.offset) == ("frames", 3, 12)
    assert (message.captured_at_ms, message.published_at_ms) == (1_000, NOW)
    assert [(each.index, each.name, each.probability) for each in message.classes] == [
        (3, "cat", 0.75),
        (1, "dog", 0.25),
    ]
    assert message.label == "cat"
    assert (message.correct is None) == (verdict is None)


def test_the_trace_context_is_handed_on() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    frame = parse(a_record(headers=(("traceparent", trace.encode()),)))
    sent = wire.render_prediction("predictions", a_prediction(frame), published_at=NOW)

    assert dict(sent.headers)["traceparent"] == trace.encode()


tallies = st.builds(
    Tally,
    key=st.builds(TallyKey, st.just(FRAMES), identifiers, st.just(MODEL)),
    since=st.integers(0, NOW).map(EventMillis),
    seen=st.integers(0, 9),
    labelled=st.integers(0, 9),
    correct_top1=st.integers(0, 0),
    correct_top5=st.integers(0, 0),
    next_offset=st.integers(0, 2**60),
)


@given(tallies)
def test_accuracy_fits_its_schema_and_reads_back_whole(tally: Tally) -> None:
    sent = wire.render_accuracy("accuracy", tally, published_at=NOW)
    document = check_json("accuracy", sent.value)

    assert document["accuracy"]["top1"] == (None if tally.labelled == 0 else 0.0)
    assert sent.key == f"frames/{MODEL}/{tally.key.camera}".encode()
    assert sent.partition == tally.key.partition.partition
    assert wire.parse_accuracy(received(sent)) == tally


def test_a_tombstone_is_no_tally_and_a_stranger_stops_the_worker() -> None:
    assert wire.parse_accuracy(a_record(value=None)) is None
    with pytest.raises(wire.AccuracyUnreadable, match=r"frames\[0\]@5 is no accuracy message"):
        wire.parse_accuracy(a_record(5, value=b'{"camera": "x"}'))
    with pytest.raises(wire.AccuracyUnreadable, match="version 2"):
        wire.parse_accuracy(a_record(value=json.dumps(sample("accuracy") | {"version": 2}).encode()))


def test_of_many_tallies_of_a_key_the_one_that_includes_most_is_read_back() -> None:
    """A worker that slept through its session may have written an old one on top."""
    key = TallyKey(FRAMES, "cam-1", MODEL)
    written = [Tally(key, EventMillis(0), seen=n, next_offset=n) for n in (1, 7, 3)]
    records = [
        received(wire.render_accuracy("accuracy", tally, published_at=NOW), n) for n, tally in enumerate(written)
    ]

    assert list(wire.newest_tallies(records)) == [written[1]]
    with pytest.raises(wire.AccuracyUnreadable, match=r"frames\[0\]@5 is no accuracy message"):
        list(wire.newest_tallies([a_record(5, value=b"{}")]))


def test_a_tombstone_begins_its_key_anew() -> None:
    key = TallyKey(FRAMES, "cam-1", MODEL)
    old, new = (
        received(wire.render_accuracy("accuracy", Tally(key, EventMillis(0), seen=n, next_offset=n), published_at=NOW))
        for n in (9, 2)
    )
    tombstone = replace(old, value=None)

    assert list(wire.newest_tallies([old, tombstone])) == []
    assert [tally.seen for tally in wire.newest_tallies([old, tombstone, new])] == [2]


def test_a_dead_letter_is_the_original_with_its_reason() -> None:
    original = a_record(9, partition=1, value=b"\xff\xd8broken", headers=(("label", b"cat"), ("x", None), ("x", b"2")))
    sent = wire.render_dead_letter("dead-letters", a_dead_letter(original), worker_version="1.2.3")
    headers = check_headers("dead-letter", sent.headers)
    report = wire.parse_dead_letter(received(sent))

    assert (sent.key, sent.value, sent.partition) == (original.key, original.value, None)
    assert wire.original_headers(received(sent)) == original.headers
    assert headers["dead-letter-reason"] == "truncated"
    assert (report.topic, report.partition, report.offset) == ("frames", 1, 9)
    assert (report.error, report.stage, report.attempt) == ("ImageUndecodable", "decode", 1)
    assert (report.text, report.worker_version) == ("the JPEG ends early: \u00fc", "1.2.3")


def test_a_dead_letter_that_fails_again_carries_one_set_of_reasons_and_a_higher_attempt() -> None:
    once = received(wire.render_dead_letter("dead-letters", a_dead_letter(a_record()), worker_version="1"))
    twice = wire.render_dead_letter("dead-letters", a_dead_letter(once), worker_version="2")

    assert wire.parse_dead_letter(received(twice)).attempt == 2
    assert len(twice.headers) == len(dict(twice.headers))


def test_a_long_stack_keeps_its_end() -> None:
    letter = DeadLetter(
        record=a_record(),
        reason=Reason.NOT_A_PICTURE,
        stage="decode",
        error="E",
        text="t",
        stack="x" * 10_000 + "the cause",
        camera="c",
        arrived_at=NOW,
    )
    stack = wire.parse_dead_letter(received(wire.render_dead_letter("d", letter, worker_version="1"))).stack

    assert len(stack) == 4096
    assert stack.endswith("the cause")
