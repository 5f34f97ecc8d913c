"""Every kind of bad input among good frames: each good one is predicted, each bad one comes back as it was."""

import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.cameras import pictures
from tests.support.pictures import ENCODERS, JPEG, PNG, png_bomb, scene
from tests.support.workers import Stage, WarmWorker, stage
from worker import wire
from worker.domain.errors import Reason
from worker.domain.records import Headers, OutboundRecord, Record

PARTITIONS = 2
PIXELS = scene(64, 48)
WEBP = ENCODERS["webp lossy"](PIXELS)
RGB = np.ascontiguousarray(PIXELS).tobytes()
RGB_LAYOUT: Headers = (("pixel-format", b"rgb24"), ("width", b"64"), ("height", b"48"))
GIF = b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
BMP = b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00" + bytes(56)
IN_TWO_HOURS = str(int(time.time() * 1000) + 7_200_000).encode()


@dataclass(frozen=True, slots=True)
class Bad:
    """A frame that must come back, and the verdict on it.

    Attributes:
        stage: that refuses it.
    """

    reason: Reason
    stage: str
    value: bytes | None
    headers: Headers = ()
    key: bytes | None = b"camera"


def _bad_header(name: str, value: bytes) -> Bad:
    return Bad(Reason.BAD_HEADER, "parse", JPEG(PIXELS), ((name, value),))


def _bad_layout(reason: Reason, pixel_format: bytes, width: bytes, height: bytes, size: int) -> Bad:
    layout = (("pixel-format", pixel_format), ("width", width), ("height", height))
    return Bad(reason, "decode", bytes(size), layout)


BAD = {
    "an empty value": Bad(Reason.EMPTY, "decode", b""),
    "a tombstone": Bad(Reason.EMPTY, "decode", None),
    "a cut JPEG": Bad(Reason.TRUNCATED, "decode", JPEG(PIXELS)[:-20]),
    "a cut JPEG with an end marker": Bad(Reason.TRUNCATED, "decode", JPEG(PIXELS)[:-30] + b"\xff\xd9"),
    "two frames in one": Bad(Reason.TRUNCATED, "decode", JPEG(PIXELS)[:-30] + JPEG(PIXELS)),
    "a cut PNG": Bad(Reason.TRUNCATED, "decode", PNG(PIXELS)[:-20]),
    "a cut WebP": Bad(Reason.TRUNCATED, "decode", WEBP[:-20]),
    "two bytes": Bad(Reason.TRUNCATED, "decode", b"\xff\xd8"),
    "text": Bad(
        Reason.NOT_A_PICTURE,
        "decode",
        b"I am not a picture, whatever my header says",
        (("content-type", b"image/jpeg"),),
    ),
    "bytes": Bad(Reason.NOT_A_PICTURE, "decode", bytes(range(256))),
    "a GIF": Bad(Reason.UNSUPPORTED, "decode", GIF),
    "a BMP": Bad(Reason.UNSUPPORTED, "decode", BMP),
    "a bomb": Bad(Reason.TOO_LARGE, "decode", png_bomb(10_000, 7_000)),
    "a camera id too long": _bad_header("camera-id", b"x" * 257),
    "a camera id that is not text": _bad_header("camera-id", b"\xff\xfe"),
    "a time that is no number": _bad_header("captured-at", b"soon"),
    "a negative time": _bad_header("captured-at", b"-1"),
    "a time beyond all clocks": _bad_header("captured-at", b"9" * 30),
    "a time in two hours": Bad(Reason.CLOCK_AHEAD, "parse", JPEG(PIXELS), (("captured-at", IN_TWO_HOURS),)),
    "a time in seconds": _bad_header("captured-at", IN_TWO_HOURS[:-3]),
    "a time in microseconds": _bad_header("captured-at", b"%d000" % (int(IN_TWO_HOURS) - 7_200_000)),
    "a label too long": _bad_header("label", b"x" * 4_097),
    "an unknown pixel format": _bad_header("pixel-format", b"yuyv"),
    "no width": Bad(Reason.BAD_HEADER, "parse", RGB, (*RGB_LAYOUT, ("width", b"0"))),
    "a height that is no number": Bad(Reason.BAD_HEADER, "parse", RGB, (*RGB_LAYOUT, ("height", b"tall"))),
    "a layout and a JPEG": Bad(Reason.BAD_HEADER, "decode", JPEG(PIXELS), RGB_LAYOUT),
    "base64": Bad(Reason.NOT_A_PICTURE, "decode", b64encode(JPEG(PIXELS))),
    "half a layout": _bad_header("pixel-format", b"rgb24"),
    "a key that is no camera": Bad(Reason.BAD_HEADER, "parse", JPEG(PIXELS), key=b"\xff\xfe"),
    "raw without a layout": Bad(Reason.BAD_HEADER, "decode", RGB, (("content-type", b"image/x-raw"),)),
    "too few raw bytes": _bad_layout(Reason.TRUNCATED, b"rgb24", b"64", b"48", 64 * 48 * 3 - 1),
    "too many raw bytes": _bad_layout(Reason.NOT_A_PICTURE, b"gray8", b"64", b"48", 64 * 48 + 1),
    "odd chroma": _bad_layout(Reason.UNSUPPORTED, b"nv12", b"63", b"48", 64 * 48 * 3 // 2),
    "a layout too large": _bad_layout(Reason.TOO_LARGE, b"i420", b"100000", b"100000", 64),
    "headers twice, and one of nothing": Bad(
        Reason.NOT_A_PICTURE, "decode", b"\0\xff\0", (("trace", b"a"), ("trace", b"b"), ("nothing", None)), key=None
    ),
    "a dead letter that was put back": Bad(
        Reason.EMPTY,
        "decode",
        b"",
        (("mine", b"1"), ("dead-letter-attempt", b"2"), ("dead-letter-reason", b"truncated")),
    ),
}

GOOD: dict[str, tuple[bytes, Headers]] = {
    "JPEG": (pictures(0)[0], ()),
    "PNG": (PNG(PIXELS), (("content-type", b"image/png"),)),
    "WebP": (WEBP, ()),
    "raw": (RGB, RGB_LAYOUT),
    "JPEG that says it is PNG": (JPEG(PIXELS), (("content-type", b"image/png"),)),
    "headers of nothing": (
        JPEG(PIXELS),
        (("label", None), ("camera-id", b""), ("frame-id", b""), ("content-type", b""), ("traceparent", b"malformed")),
    ),
    "headers that belong to raw pictures": (JPEG(PIXELS), (("width", b"0"), ("height", b"tall"))),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stream of good and bad frames.

    Attributes:
        sent: all frames, by partition and offset.
        bad: those of them that are bad.
        reasons: what the worker's metrics say of dead letters.
    """

    sent: dict[tuple[int, int], Record]
    bad: dict[tuple[int, int], Bad]
    predictions: list[wire.PredictionMessage]
    dead_letters: list[Record]
    reasons: dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def outcome(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    with stage(bootstrap_servers, partitions=PARTITIONS) as on:
        bad = _send(on)
        with WarmWorker(on.settings(), tmp_path_factory.mktemp("bad-input")) as worker:
            worker.wait_until_ready()
            on.wait_until_done()
            reasons = worker.metrics("dead_letters_total")
            assert worker.stop() == 0
        sent = {(r.position.partition.partition, r.position.offset): r for r in on.read(on.frames)}
        yield Outcome(sent, bad, on.read_predictions(), on.read(on.dead_letters), reasons)


def _send(on: Stage) -> dict[tuple[int, int], Bad]:
    """Send each bad frame between two good ones, in every partition; return where the bad ones lie."""
    places = {}
    for partition in range(PARTITIONS):
        lane: list[OutboundRecord] = []
        for number, bad in enumerate(BAD.values()):
            value, headers = list(GOOD.values())[number % len(GOOD)]
            lane.append(OutboundRecord(on.frames, partition, b"camera", value, headers))
            places[partition, len(lane)] = bad
            lane.append(OutboundRecord(on.frames, partition, bad.key, bad.value, bad.headers))
        on.send(lane)
    return places


def test_every_good_frame_is_predicted_once_and_in_order(outcome: Outcome) -> None:
    good = outcome.sent.keys() - outcome.bad.keys()
    predicted = [(each.frame.partition, each.frame.offset) for each in outcome.predictions]

    assert len(good) == PARTITIONS * len(BAD)
    for partition in range(PARTITIONS):
        assert [place for place in predicted if place[0] == partition] == sorted(p for p in good if p[0] == partition)


def test_every_bad_frame_is_a_dead_letter_with_its_reason_and_stage(outcome: Outcome) -> None:
    reports = [wire.parse_dead_letter(letter) for letter in outcome.dead_letters]
    verdicts = {(each.partition, each.offset): (each.reason, each.stage) for each in reports}

    assert verdicts == {place: (bad.reason.value, bad.stage) for place, bad in outcome.bad.items()}
    assert len(reports) == len(outcome.bad)
    assert {each.topic for each in reports} == {record.position.partition.topic for record in outcome.sent.values()}
    assert all(each.text and each.stack for each in reports)


def test_a_dead_letter_holds_its_frame_byte_for_byte(outcome: Outcome) -> None:
    for letter in outcome.dead_letters:
        report = wire.parse_dead_letter(letter)
        frame = outcome.sent[report.partition, report.offset]
        assert (letter.key, letter.value) == (frame.key, frame.value)
        assert wire.original_headers(letter) == wire.original_headers(frame)


def test_a_dead_letter_that_was_put_back_counts_its_attempts(outcome: Outcome) -> None:
    attempts = Counter(wire.parse_dead_letter(letter).attempt for letter in outcome.dead_letters)

    assert attempts == {1: PARTITIONS * (len(BAD) - 1), 3: PARTITIONS}


def test_the_metrics_count_dead_letters_by_reason(outcome: Outcome) -> None:
    counted = {reason: count for reason, count in outcome.reasons.items() if count}

    assert counted == Counter((bad.reason.value,) for bad in outcome.bad.values())
