"""Every message against its schema in schemas/, there and back."""

import json
import re
import struct
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction, a_record
from tests.support.schemas import check_headers, check_json, sample, schema, validator
from worker import wire
from worker.domain import samples
from worker.domain.clips import ClipSpan
from worker.domain.errors import ClockAhead, EnvelopeInvalid, Reason
from worker.domain.frames import (
    COLOR_MATRICES,
    COLOR_RANGES,
    PIXEL_FORMATS,
    CapturedFrame,
    EncodedFrame,
    Frame,
    RawLayout,
)
from worker.domain.records import Headers, OutboundRecord, Position, Record, TopicPartition
from worker.domain.results import (
    Classification,
    DeadLetter,
    FrameValue,
    ModelIdentity,
    Prediction,
    ScoredClass,
    SequenceClassification,
    Verdict,
)
from worker.domain.samples import Skipped
from worker.domain.sequences import DroppedState, HiddenState, Place
from worker.domain.tallies import DroppedTally, Tally, TallyKey
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import Window
from worker.sampling import by_camera, clips, load
from worker.stream import clip_input
from worker.wire.capture_time import LATEST_SECONDS, MAX_CLOCK_AHEAD

NOW = EventMillis(1_700_000_000_500)
REASONS = [
    *(samples.LATE, samples.DUPLICATE, samples.OVER_RATE, samples.PUBLISHED_BEFORE, clips.BETWEEN_CLIPS, clips.GAP),
    clip_input.DAMAGED,
    *(load.TOO_OLD, load.REPLACED, load.NOT_NTH, by_camera.OUT_OF_MEMORY),
]
KINDS = [
    *("frame", "prediction", "multi-label-prediction", "clip-prediction", "frame-value", "recurrent-prediction"),
    *("detection", "segmentation", "embedding", "skipped", "accuracy", "hidden-state", "dead-letter"),
]


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


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("nothing", [None, b""], ids=["null", "empty"])
def test_a_header_of_nothing_is_an_absent_one(nothing: bytes | None) -> None:
    names = [name for name in schema("frame")["properties"] if not name.startswith("dead-letter")]
    frame = parse(a_record(headers=tuple((name, nothing) for name in names), timestamp=9))

    assert frame == replace(parse(a_record(timestamp=9)), record=frame.record)
    assert (frame.frame.camera, frame.frame.captured_at, frame.frame.boxes) == ("cam-1", 9, None)


def test_a_header_of_nothing_does_not_hide_one_of_the_same_name() -> None:
    headers: Headers = (("camera-id", b"gate"), ("camera-id", None), ("label", b""), ("label", b"cat"))
    record = a_record(headers=headers)

    assert (parse(record).frame.camera, parse(record).frame.label) == ("gate", "cat")
    assert wire.camera_of(record) == "gate"


def test_a_raw_picture_has_a_layout() -> None:
    headers: Headers = (("pixel-format", b"nv12"), ("width", b"640"), ("height", b"480"))
    padding: Headers = (("stride", b"768"), ("slice-height", b"512"))
    colors: Headers = (("color-range", b"full"), ("color-matrix", b"bt709"))

    assert parse(a_record(headers=headers)).raw == RawLayout("nv12", 640, 480)
    assert parse(a_record(headers=headers + padding)).raw == RawLayout("nv12", 640, 480, 768, 512)
    assert parse(a_record(headers=headers + colors)).raw == RawLayout("nv12", 640, 480, None, None, "full", "bt709")


def test_the_schema_knows_the_same_layouts() -> None:
    known = schema("frame")["properties"]

    assert known["pixel-format"]["enum"] == list(PIXEL_FORMATS)
    assert known["color-range"]["enum"] == list(COLOR_RANGES)
    assert known["color-matrix"]["enum"] == list(COLOR_MATRICES)


@pytest.mark.parametrize("name", ["width", "height", "stride", "slice-height", "color-range", "color-matrix"])
@pytest.mark.parametrize("value", [b"0", b"640px", b"\xff\xfe", b"-1", b"9" * 40])
def test_what_belongs_to_raw_pictures_is_not_read_of_others(name: str, value: bytes) -> None:
    assert parse(a_record(headers=((name, value),))).raw is None


@pytest.mark.parametrize("value", [b"\xff\xfe", b"x" * 1_000, "\u00fc".encode("latin-1")])
def test_a_content_type_that_cannot_be_read_is_no_fault(value: bytes) -> None:
    assert parse(a_record(headers=(("content-type", value),))).data == b"picture"


def test_a_malformed_traceparent_is_ignored_as_its_standard_says() -> None:
    assert parse(a_record(headers=(("traceparent", b"00-xyz"),))).frame.traceparent is None


RGB: Headers = (("pixel-format", b"rgb24"), ("width", b"4"), ("height", b"4"))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("camera-id", b"x" * 257, "send 1 to 256 characters, in UTF-8"),
        ("camera-id", b"\xff", "send 1 to 256 characters, in UTF-8"),
        ("frame-id", b"\xc3\x28", "send 1 to 256 characters, in UTF-8"),
        ("label", b"\xc3\x28", "send 1 to 4096 characters, in UTF-8"),
        ("label", b"x" * 4097, "send 1 to 4096 characters, in UTF-8"),
        ("boxes", b"[1]", "box 1"),
        ("captured-at", b"yesterday", "send whole milliseconds since the epoch"),
        ("captured-at", b"-5", "this is before 1970: send whole milliseconds since the epoch"),
        ("captured-at", b"9" * 40, "this is too large: send whole milliseconds"),
        ("captured-at", b"1.5", "this looks like seconds with a fraction: send whole milliseconds"),
        ("captured-at", b"1699999999.123", "this looks like seconds with a fraction: send whole milliseconds"),
        ("captured-at", b"1699999999123.5", "this has a fraction: send whole milliseconds"),
        ("captured-at", b"1.7e12", "send whole milliseconds"),
        ("captured-at", b"2023-11-14T22:13:19Z", "this looks like a date: send whole milliseconds"),
        ("captured-at", b"2023-11-14 22:13:19.5+01:00", "this looks like a date: send whole milliseconds"),
        ("captured-at", b"20231114T221319Z", "this looks like a date: send whole milliseconds"),
        ("captured-at", b"Tue, 14 Nov 2023 22:13:19 GMT", "this looks like a date: send whole milliseconds"),
        ("captured-at", struct.pack(">q", NOW), "this looks like a binary number: send whole milliseconds"),
        ("captured-at", struct.pack("<d", NOW), "this looks like a binary number: send whole milliseconds"),
        ("captured-at", b"1699999999", "this looks like seconds: send milliseconds .* such as 1699999999000$"),
        ("captured-at", b"1699999999123456", "looks like microseconds: send milliseconds .* such as 1699999999123$"),
        ("captured-at", b"1699999999123456789", "looks like nanoseconds: send milliseconds .* such as 1699999999123$"),
        ("pixel-format", b"yuyv", "send yuyv422, which is the name of this here"),
        ("pixel-format", b"NV12", "send nv12, which is the name of this here"),
        ("pixel-format", b"YUV420P", "send i420, which is the name of this here"),
        ("pixel-format", b"yuvj420p", "send i420 with color-range full, which"),
        ("pixel-format", b"p010", "send one of rgb24, bgr24"),
        ("width", b"0", "send a whole number of at least 1, in decimal digits"),
        ("height", b"tall", "send a whole number of at least 1, in decimal digits"),
        ("width", struct.pack(">i", 4), "send a whole number of at least 1, in decimal digits"),
        ("stride", b"12.0", "send a whole number of at least 1, in decimal digits"),
        ("slice-height", b"-4", "send a whole number of at least 1, in decimal digits"),
        ("color-range", b"tv", "send limited, which is the name of this here"),
        ("color-range", b"wide", "send one of limited, full"),
        ("color-matrix", b"BT.709", "send bt709, which is the name of this here"),
        ("color-matrix", b"\xff", "send one of bt601, bt709, bt2020"),
    ],
)
def test_a_bad_header_is_named_with_what_to_send(name: str, value: bytes, text: str) -> None:
    with pytest.raises(EnvelopeInvalid, match=text) as caught:
        parse(a_record(headers=(*RGB, (name, value)), timestamp=NOW))

    assert caught.value.reason is Reason.BAD_HEADER
    assert f"header {name!r} is " in str(caught.value)


@pytest.mark.parametrize("name", ["width", "height"])
def test_half_a_layout_says_what_is_missing(name: str) -> None:
    headers = tuple((each, value) for each, value in RGB if each != name)
    with pytest.raises(EnvelopeInvalid, match=rf"has no header '{name}': send .* leave 'pixel-format' out$"):
        parse(a_record(headers=headers))


def test_all_faults_are_named_at_once() -> None:
    headers: Headers = (("camera-id", b"\xff"), ("captured-at", b"x"), *RGB, ("width", b"0"))
    with pytest.raises(EnvelopeInvalid, match=r"camera-id.*width.*captured-at.*header names"):
        parse(replace(a_record(headers=headers), fault="header names"))


IN_AN_HOUR = NOW + MAX_CLOCK_AHEAD
IN_FOUR_YEARS = NOW + 4 * 365 * 24 * 3_600_000


@pytest.mark.parametrize("timestamp", [0, NOW // 1_000, 1_000, NOW, IN_FOUR_YEARS])
@pytest.mark.parametrize("at", [0, 123, 1_000_000_000_000, NOW - 1, NOW, IN_AN_HOUR])
def test_a_capture_time_in_the_header_is_compared_with_the_workers_clock_alone(at: int, timestamp: int) -> None:
    assert parse(a_record(headers=(("captured-at", b"%d" % at),), timestamp=timestamp)).frame.captured_at == at


@pytest.mark.parametrize("at", [IN_AN_HOUR + 1, IN_FOUR_YEARS, 2**62])
@pytest.mark.parametrize("way", ["header", "timestamp"])
def test_a_capture_time_in_the_future_is_refused_wherever_it_comes_from(way: str, at: int) -> None:
    headers: Headers = (("captured-at", b"%d" % at),) if way == "header" else ()
    with pytest.raises(ClockAhead, match=rf"is {at}: this is [0-9.]+ hours ahead of the worker's clock") as caught:
        parse(a_record(headers=headers, timestamp=at if way == "timestamp" else NOW))

    assert caught.value.reason is Reason.CLOCK_AHEAD
    assert f"which says {NOW}: set the clock that is wrong" in str(caught.value)
    assert ("send the header 'captured-at'" in str(caught.value)) == (way == "timestamp")


@pytest.mark.parametrize("ahead", [-(10**11), 0, 7_200_000, 10**11])
@pytest.mark.parametrize(
    ("unit", "times", "divided_by"), [("seconds", 1, 1_000), ("microseconds", 1_000, 1), ("nanoseconds", 10**6, 1)]
)
def test_a_wrong_unit_is_named_even_if_the_clock_is_wrong(unit: str, times: int, divided_by: int, ahead: int) -> None:
    at = (NOW + ahead) * times // divided_by
    with pytest.raises(EnvelopeInvalid, match=f"header 'captured-at' is {at}: this looks like {unit}"):
        parse(a_record(headers=(("captured-at", b"%d" % at),), timestamp=NOW))


def test_frames_of_a_long_recording_may_count_from_its_beginning() -> None:
    after_a_month = 30 * 24 * 3_600_000
    assert parse(a_record(headers=(("captured-at", b"%d" % after_a_month),), timestamp=0)).frame.captured_at == (
        after_a_month
    )


@pytest.mark.parametrize(("timestamp", "unit"), [(NOW // 1_000, "seconds"), (NOW * 1_000, "microseconds")])
def test_a_timestamp_in_a_wrong_unit_is_named_if_it_is_the_capture_time(timestamp: int, unit: str) -> None:
    with pytest.raises(EnvelopeInvalid, match=f"the record's timestamp is {timestamp}: this looks like {unit}"):
        parse(a_record(timestamp=timestamp))


def test_what_of_a_record_cannot_be_read_is_a_fault() -> None:
    with pytest.raises(EnvelopeInvalid, match=r"^the names of 1 of 2 headers are not UTF-8$"):
        parse(replace(a_record(), fault="the names of 1 of 2 headers are not UTF-8"))


def test_a_key_that_is_no_camera_id_is_a_fault_unless_the_header_names_the_camera() -> None:
    with pytest.raises(EnvelopeInvalid, match=r"the key is .* or send the header 'camera-id'$"):
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
    except (EnvelopeInvalid, ClockAhead):
        assert wire.camera_of(record)
    else:
        assert frame.frame.camera == wire.camera_of(record)


identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(identifiers, identifiers | st.none(), st.integers(LATEST_SECONDS, NOW), identifiers | st.none())
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


probabilities = st.floats(0, 1).map(lambda each: round(each, 6))
verdicts = st.none() | st.builds(Verdict, st.booleans(), st.booleans())
scored = st.lists(st.builds(ScoredClass, st.integers(0, 999), identifiers, probabilities), min_size=1, max_size=3)


@given(scored, st.integers(0, NOW), st.integers(0, 99), st.integers(1, 16), st.integers(0, 15), verdicts)
def test_the_prediction_of_a_clip_fits_its_schema_and_reads_back(
    classes: list[ScoredClass], began_at: int, before: int, used: int, repeated: int, verdict: Verdict | None
) -> None:
    first = a_frame(5, partition=3, captured_at=began_at, label="walk").frame
    last = a_frame(5 + before, partition=3, captured_at=began_at + 40 * before, label="run")
    prediction = replace(
        a_prediction(last, verdict),
        result=Classification(tuple(classes), ()),
        clip=ClipSpan(first, last.frame, used, used + repeated),
    )
    sent = wire.render_prediction("predictions", prediction, published_at=NOW)
    check_json("clip-prediction", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.ClipMessage)
    assert (sent.partition, sent.key) == (3, b"cam-1")
    assert message.frame.offset == message.clip.last.offset == 5 + before
    assert (message.captured_at_ms, message.label) == (began_at + 40 * before, "run")
    assert (message.clip.first.id, message.clip.first.captured_at_ms) == ("frames-3-5", began_at)
    assert (message.clip.used, message.clip.frames) == (used, used + repeated)
    assert [(each.index, each.name, each.probability) for each in message.classes] == classes
    assert msgspec.json.encode(message) == sent.value
    assert wire.decode_prediction(sent.value or b"").classes == message.classes


@given(probabilities, probabilities, identifiers | st.none(), verdicts)
def test_the_value_of_a_frame_fits_its_schema_and_reads_back(
    value: float, threshold: float, event: str | None, verdict: Verdict | None
) -> None:
    result = FrameValue(value, threshold, event, above="cut")
    prediction = replace(a_prediction(a_frame(12, partition=3, label="cut"), verdict), result=result)
    sent = wire.render_prediction("predictions", prediction, published_at=NOW)
    check_json("frame-value", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.FrameValueMessage)
    assert (message.value, message.threshold, message.event) == (value, threshold, event)
    assert (message.frame.offset, message.label) == (12, "cut")
    assert msgspec.json.encode(message) == sent.value


@given(identifiers, st.integers(0, NOW), st.sampled_from(["late", "over-rate", "damaged-clip"]))
def test_a_skipped_frame_fits_its_schema_and_reads_back(camera: str, captured_at: int, reason: str) -> None:
    frame = a_frame(12, partition=3, captured_at=captured_at, camera=camera).frame
    sent = wire.render_skipped("skipped", Skipped(frame, reason), published_at=NOW)
    check_json("skipped", sent.value)
    message = wire.decode_skipped(sent.value or b"")

    assert (sent.partition, sent.key) == (3, camera.encode())
    assert (message.frame.camera, message.frame.offset) == (camera, 12)
    assert (message.captured_at_ms, message.published_at_ms, message.reason) == (captured_at, NOW, reason)
    assert msgspec.json.encode(message) == sent.value


@pytest.mark.parametrize("reason", REASONS)
def test_the_schema_explains_every_reason_for_which_the_worker_skips(reason: str) -> None:
    explained = schema("skipped")["properties"]["reason"]

    assert re.search(rf"[ ,]{reason}[ ,]", explained["description"])
    assert re.fullmatch(explained["pattern"], reason)


def sampled_frame(number: int, offset: int, captured_at: int, label: str | None) -> Frame:
    position = Position(TopicPartition("frames", 3), offset)
    name, arrived_at = f"north-gate-{number:06}", EventMillis(1_700_000_000_150)
    return Frame(position, "north-gate", name, EventMillis(captured_at), arrived_at, Monotonic(0.0), label)


LAST = sampled_frame(42, 1234, 1_700_000_000_123, "espresso")
SAMPLED = replace(
    a_prediction(a_frame(), Verdict(top1=True, top5=True)),
    frame=LAST,
    window=Window(EventMillis(1_700_000_000_000), EventMillis(1_700_000_001_000)),
    model=ModelIdentity("mobilenet_v2", "b03531047ffa"),
    result=Classification((ScoredClass(967, "espresso", 0.875), ScoredClass(968, "cup", 0.0625)), (967, 968)),
    label="espresso",
    seconds={"gather": 0.1, "decode": 0.012, "classify": 0.04},
)
CLIP = replace(
    SAMPLED,
    model=ModelIdentity("r3d_18", "b3b3357e1c2a"),
    result=Classification((ScoredClass(261, "push up", 0.875), ScoredClass(306, "situp", 0.0625)), (261, 306)),
    label="push up",
    clip=ClipSpan(sampled_frame(27, 1204, 1_699_999_998_123, None), LAST, used=15, places=16),
)
VALUE = replace(
    SAMPLED,
    model=ModelIdentity("shots", "5c1a7c0f1b2d"),
    result=FrameValue(0.9375, 0.5, "cut", above="cut"),
    label="cut",
)
SEQUENCE = replace(
    SAMPLED,
    model=ModelIdentity("gestures", "5c1a7c0f1b2d"),
    result=SequenceClassification((ScoredClass(2, "wave", 0.8125), ScoredClass(0, "none", 0.125)), (2, 0), 37),
    label="wave",
)


@pytest.mark.parametrize(
    ("kind", "prediction"),
    [("prediction", SAMPLED), ("clip-prediction", CLIP), ("frame-value", VALUE), ("recurrent-prediction", SEQUENCE)],
)
def test_a_prediction_is_written_as_the_stored_sample_byte_for_byte(kind: str, prediction: Prediction) -> None:
    published_at = EventMillis(1_700_000_000_310)
    written = json.dumps(sample(kind), separators=(",", ":")).encode()

    assert wire.render_prediction("predictions", prediction, published_at=published_at).value == written
    assert msgspec.json.encode(wire.decode_message(written)) == written


def test_a_skipped_frame_is_written_as_the_stored_sample() -> None:
    sent = wire.render_skipped("skipped", Skipped(LAST, "over-rate"), published_at=EventMillis(1_700_000_000_310))

    assert sent.value == json.dumps(sample("skipped"), separators=(",", ":")).encode()


def test_a_prediction_of_an_unknown_task_is_refused_with_the_tasks_that_are_known() -> None:
    later = json.dumps(sample("prediction") | {"task": "boxes"}).encode()

    with pytest.raises(
        msgspec.ValidationError, match=r"'boxes'.*classify, multi_label, clip, .*, detect, segment, embed, recurrent"
    ):
        wire.decode_message(later)
    with pytest.raises(msgspec.ValidationError, match="classes"):
        wire.decode_prediction(json.dumps(sample("frame-value")).encode())


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
    topic_id=st.none() | st.text(min_size=1),
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


def test_of_a_key_the_newest_tally_of_each_topic_id_is_read_back() -> None:
    """A topic that was created again counts from 0: what includes less is the newer one."""
    key = TallyKey(FRAMES, "cam-1", MODEL)
    written = [Tally(key, EventMillis(0), seen=n, next_offset=n, topic_id=each) for n, each in ((9, "a"), (2, "b"))]
    records = [received(wire.render_accuracy("accuracy", tally, published_at=NOW)) for tally in written]
    tombstone = received(wire.render_dropped_tally("accuracy", DroppedTally(key)))

    assert list(wire.newest_tallies(records)) == written
    assert tombstone.value is None
    assert list(wire.newest_tallies([*records, tombstone])) == []
    assert list(wire.newest_tallies([records[0], tombstone, records[1]])) == [written[1]]


STATE = HiddenState(
    TallyKey(TopicPartition("frames", 3), "north-gate", ModelIdentity("gestures", "5c1a7c0f1b2d")),
    Place(steps=37, captured_at=EventMillis(1_700_000_000_123), next_offset=1235),
    struct.pack("<4f", 0.5, -0.25, 0.125, 0.0),
    "NCHpi2yKR4aPQtelZrZ7yw",
)


def test_a_hidden_state_is_written_as_the_stored_sample_and_reads_back_whole() -> None:
    sent = wire.render_state("state", STATE, published_at=EventMillis(1_700_000_000_310))

    assert sent.value == json.dumps(sample("hidden-state"), separators=(",", ":")).encode()
    assert (sent.topic, sent.partition, sent.key) == ("state", 3, b"frames/gestures@5c1a7c0f1b2d/north-gate")
    assert wire.parse_state(received(sent)) == STATE


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"numbers": "?"}, r"frames\[0\]@5 is no hidden state.*state topic of its own \(topics.state\)"),
        ({"numbers": "AAAA"}, r"frames\[0\]@5 is no hidden state \(3 bytes are no float32 numbers\)"),
        ({"steps": None}, r"frames\[0\]@5 is no hidden state"),
        ({"next_offset": "x"}, r"frames\[0\]@5 is no hidden state"),
        ({"version": 2}, r"frames\[0\]@5 is a hidden state of version 2"),
    ],
)
def test_a_hidden_state_that_cannot_be_read_stops_the_worker(changes: dict[str, object], text: str) -> None:
    stranger = a_record(5, value=json.dumps(sample("hidden-state") | changes).encode())
    with pytest.raises(wire.StateUnreadable, match=text):
        list(wire.newest_states([stranger]))


def test_of_many_hidden_states_of_a_key_the_one_that_includes_most_is_read_back_unless_it_is_deleted() -> None:
    places = [Place(n, EventMillis(0), next_offset=n) for n in (1, 7, 3)]
    records = [received(wire.render_state("state", replace(STATE, place=each), published_at=NOW)) for each in places]
    tombstone = received(wire.render_dropped_state("state", DroppedState(STATE.key)))

    assert [each.next_offset for each in wire.newest_states(records)] == [7]
    assert tombstone.value is None
    assert [each.next_offset for each in wire.newest_states([*records, tombstone])] == []
    assert [each.next_offset for each in wire.newest_states([records[1], tombstone, records[0]])] == [1]
    assert wire.parse_state(tombstone) is None


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
