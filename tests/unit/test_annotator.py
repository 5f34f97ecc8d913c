"""Which frames get a picture, what is on it, and what happens if it cannot be made."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.frames import a_frame, a_prediction
from tests.support.pictures import ENCODERS, PNG, scene
from worker.app import annotator
from worker.app.annotator import ALWAYS_FITS, SLOTS, Annotator
from worker.domain.clips import ClipSpan
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.pictures import PictureRules
from worker.domain.results import FrameValue, Prediction, Verdict
from worker.domain.times import EventMillis
from worker.media.images import decode_image
from worker.views.drawing import draw
from worker.views.shown import Event, Facts, Meter, Share, Truth

SMALL = PNG(scene(8, 8))
RED = np.full((120, 160, 3), (250, 10, 20), np.uint8)


class Failures(list[tuple[str, Exception]]):
    """What could not be drawn: the cameras, and why."""

    def note(self, frame: Frame, error: Exception) -> None:
        self.append((frame.camera, error))


def annotating(every_ms: int = 1000, failures: Failures | None = None, max_pixels: int = 1_000_000) -> Annotator:
    return Annotator(
        every_ms, PictureRules(max_pixels=max_pixels), failed=(Failures() if failures is None else failures).note
    )


def shot(at: int, value: bytes = SMALL, camera: str = "cam-1", label: str | None = None) -> EncodedFrame:
    frame = a_frame(captured_at=at, camera=camera, label=label)
    return replace(frame, record=replace(frame.record, value=value))


def annotated(annotate: Annotator, encoded: EncodedFrame) -> bytes | None:
    return annotate(a_prediction(encoded), encoded)


def pixels_of(jpeg: bytes | None) -> NDArray[np.uint8]:
    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8")
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_each_camera_has_a_picture_of_the_first_frame_of_each_slot() -> None:
    annotate = annotating(every_ms=500)
    times = [0, 40, 460, 499, 500, 540, 1700, 1999, 2000]

    for camera in ("gate", "hall"):
        drawn = [at for at in times if annotated(annotate, shot(at, camera=camera))]
        assert drawn == [0, 500, 1700, 2000]


@given(st.permutations(range(3 * SLOTS // 2)))
def test_frames_that_come_out_of_order_get_no_second_picture(numbers: list[int]) -> None:
    """Out of order by less than the slots that are remembered."""
    near = sorted(range(len(numbers)), key=lambda number: number + numbers[number] % 6)
    annotate = annotating()

    drawn = [at for number in near for at in (1000 * number, 1000 * number + 1) if annotated(annotate, shot(at))]
    assert drawn == [1000 * number for number in near]


def test_threads_share_an_annotator() -> None:
    annotate, cameras = annotating(), [f"cam-{number}" for number in range(20)]
    frames = [shot(at, camera=camera) for camera in cameras for at in range(0, 3000, 250)]
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda frame: annotated(annotate, frame), frames))

    assert sum(each is not None for each in drawn) == 3 * len(cameras)


def test_of_many_cameras_those_heard_of_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotator, "CAMERAS", 2)
    annotate = annotating()

    assert [annotated(annotate, shot(0, camera=each)) is not None for each in "abacab"] == [
        *(True, True, False),
        *(True, False, True),
    ]


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_the_whole_picture_is_drawn_on_whatever_its_encoding(kind: str) -> None:
    encoded = shot(61_000, ENCODERS[kind](scene(320, 240)), label="cat")
    seen = pixels_of(annotating()(a_prediction(encoded, Verdict(top1=True, top5=True)), encoded))

    plain = decode_image(encoded, PictureRules()).pixels
    facts = Facts(
        camera="cam-1",
        captured_at=EventMillis(61_000),
        classes=(Share("cat", 0.75), Share("dog", 0.25)),
        truth=Truth("cat", right=True),
    )
    assert seen.shape == (240, 320, 3)
    assert difference(seen, draw(plain, facts)) < 4
    assert difference(seen, plain) > 8


def test_colours_stay_what_they_are() -> None:
    seen = pixels_of(annotated(annotating(), shot(0, PNG(RED))))
    plain = np.all(draw(RED, Facts(camera="cam-1", captured_at=EventMillis(0))) == RED, axis=2)[60:64, 150:]

    assert plain.all()
    assert difference(seen[60:64, 150:], RED[60:64, 150:]) < 6


@pytest.mark.parametrize("event", [None, "cut"])
def test_the_value_of_a_frame_is_drawn_as_a_meter_with_its_event(event: str | None) -> None:
    encoded = shot(0, PNG(RED))
    value = replace(a_prediction(encoded), result=FrameValue(0.9, 0.5, event, above="cut"))
    facts = Facts(
        camera="cam-1",
        captured_at=EventMillis(0),
        meter=Meter(0.9, 0.5),
        event=Event(event) if event else None,
    )

    assert difference(pixels_of(annotating()(value, encoded)), draw(RED, facts)) < 6


def test_a_clip_is_drawn_on_its_last_frame() -> None:
    encoded = shot(2000, PNG(RED))
    clip: Prediction = replace(a_prediction(encoded), clip=ClipSpan(shot(0).frame, encoded.frame, used=14, places=16))
    classes = (Share("cat", 0.75), Share("dog", 0.25))
    facts = Facts(camera="cam-1", captured_at=EventMillis(2000), classes=classes, note="clip: 14 of 16 frames")

    assert difference(pixels_of(annotating()(clip, encoded)), draw(RED, facts)) < 6


def test_a_picture_that_cannot_be_made_is_told_and_left_out() -> None:
    failures = Failures()
    annotate = annotating(failures=failures, max_pixels=100)

    assert annotated(annotate, shot(0, b"no picture", camera="broken")) is None
    assert annotated(annotate, shot(0, PNG(RED), camera="large")) is None
    assert annotated(annotate, shot(0, camera="small")) is not None
    assert [camera for camera, _ in failures] == ["broken", "large"]
    assert "the limit is 100" in str(failures[1][1])


def test_a_picture_is_compressed_more_before_it_could_be_too_large_for_its_topic() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1000, 1400, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 20])[1].tobytes()
    failures, large = Failures(), PNG(noise)
    annotate = annotating(failures=failures, max_pixels=10_000_000)

    assert len(jpeg) < ALWAYS_FITS < len(annotated(annotate, shot(0, large, "raw")) or b"") <= len(large)
    assert len(annotated(annotate, shot(0, jpeg, "jpeg")) or b"") <= ALWAYS_FITS


def test_a_picture_that_no_compression_makes_small_enough_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotator, "ALWAYS_FITS", 10)
    failures, tiny = Failures(), cv2.imencode(".webp", RED, [cv2.IMWRITE_WEBP_QUALITY, 1])[1].tobytes()

    assert annotated(annotating(failures=failures), shot(0, tiny)) is None
    assert f"{len(tiny)} are sure to fit" in str(failures[0][1])
