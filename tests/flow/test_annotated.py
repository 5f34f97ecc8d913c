"""Pictures with their predictions through the whole loop: a picture a slot, and nothing else changes."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.clips import ClipModel, Shot, decode_number
from tests.support.colours import COLOURS
from tests.support.flow import TOPICS, Flow
from tests.support.frames import a_record
from tests.support.pictures import JPEG
from worker import wire
from worker.adapters.memory import Assign, Event
from worker.app.annotator import Annotator
from worker.app.sampling import sampling_of
from worker.domain.clips import ClipShape
from worker.domain.frames import Frame
from worker.domain.pictures import PictureRules
from worker.domain.records import OutboundRecord, TopicPartition
from worker.settings import SamplingGroup
from worker.views.drawing import draw
from worker.views.facts import facts_of

SEEN = replace(TOPICS, annotated="seen")
NAMES = list(COLOURS)
SIZE = (72, 128, 3)
PARTITION = TopicPartition("frames", 2)


def raising(frame: Frame, error: Exception) -> None:
    raise AssertionError(f"{frame.camera}: {error}")


def annotator(every_ms: int = 1000) -> Annotator:
    return Annotator(every_ms, PictureRules(max_pixels=10_000), failed=raising)


def painted(number: int) -> NDArray[np.uint8]:
    return np.full(SIZE, COLOURS[NAMES[number % len(NAMES)]], np.uint8)


def script() -> Iterator[Event]:
    """Two cameras, 4 frames a second each, for 5 seconds; one frame is no picture."""
    yield Assign([PARTITION])
    records = [
        a_record(
            2 * number + place,
            partition=2,
            key=camera.encode(),
            value=b"no picture" if number == 8 else JPEG(painted(number)),
            timestamp=1_700_000_000_000 + 250 * number,
        )
        for number in range(20)
        for place, camera in enumerate(("gate", "hall"))
    ]
    for start in range(0, len(records), 7):
        yield records[start : start + 7]


def pictures(flow: Flow) -> list[OutboundRecord]:
    return [record for record in flow.sink.published if record.topic == SEEN.annotated]


def at_of(record: OutboundRecord) -> int:
    return int(dict(record.headers)["captured-at"] or b"")


def test_a_worker_publishes_a_picture_of_each_camera_and_slot_with_the_prediction_on_it() -> None:
    flow = Flow(script(), topics=SEEN, annotate=annotator()).run()
    said = {message.frame.id: message for message in flow.predictions()}

    # The first frame of the third second is no picture: the second one is the first that is predicted.
    expected = [(camera, 1_700_000_000_000 + at) for at in (0, 1000, 2250, 3000, 4000) for camera in (b"gate", b"hall")]
    assert sorted((r.key or b"", at_of(r)) for r in pictures(flow)) == sorted(expected)
    for record in pictures(flow):
        headers = dict(record.headers)
        message = said[(headers["frame-id"] or b"").decode()]
        plain = painted((at_of(record) - 1_700_000_000_000) // 250)
        seen = np.asarray(cv2.imdecode(np.frombuffer(record.value or b"", np.uint8), cv2.IMREAD_COLOR_RGB), np.int64)
        assert (record.partition, record.key) == (2, headers["camera-id"])
        assert (headers["content-type"], message.captured_at_ms) == (b"image/jpeg", at_of(record))
        drawn = draw(plain, facts_of(message))
        assert np.abs(seen - drawn).mean() < 10 < np.abs(seen - plain).mean()
        untouched = np.all(drawn == plain, axis=2)
        assert untouched.mean() > 0.05
        assert np.abs(seen - plain)[untouched].mean() < 12


@pytest.mark.parametrize("annotate", [None, annotator()], ids=["no pictures", "pictures"])
def test_nothing_else_changes(annotate: Annotator | None) -> None:
    plain, flow = Flow(script()).run(), Flow(script(), topics=SEEN, annotate=annotate).run()
    others = [record for record in flow.sink.published if record.topic != SEEN.annotated]

    assert bool(pictures(flow)) == (annotate is not None)
    assert others == plain.sink.published
    assert flow.committed() == plain.committed()


def test_pictures_without_a_topic_are_not_published() -> None:
    flow = Flow(script(), annotate=annotator()).run()

    assert {record.topic for record in flow.sink.published} == {
        *(TOPICS.predictions, TOPICS.accuracy, TOPICS.dead_letters)
    }


@pytest.mark.parametrize(("middle", "expected"), [(None, [300, 700, 1100]), (2, [0, 500, 1000])])
def test_of_clips_the_frames_with_a_prediction_get_pictures(middle: int | None, expected: list[int]) -> None:
    clip = ClipShape(4, 10.0, middle)
    shots = [Shot(number, "cam-1", 100 * number) for number in range(12)]

    def polls() -> Iterator[Event]:
        yield Assign([TopicPartition("frames", 0)])
        yield [shot.at_offset(offset) for offset, shot in enumerate(shots)]

    flow = Flow(
        polls(),
        model=ClipModel(clip),
        decode=decode_number,
        sampling=sampling_of(SamplingGroup(), clip, engine="eager", frame_shape=(1, 1, 3), lateness=0, live=False),
        topics=SEEN,
        annotate=annotator(every_ms=500) if middle else annotator(every_ms=400),
    ).run()
    messages = [wire.decode_message(r.value or b"") for r in flow.sink.published if r.topic == TOPICS.predictions]

    assert len(messages) == (12 if middle else 3)
    assert [at_of(record) for record in pictures(flow)] == expected
