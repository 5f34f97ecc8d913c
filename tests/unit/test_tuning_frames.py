"""The frames that tuning measures with: which are taken, when they were captured, and how they become clips."""

from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from torch import nn

from tests.support.messages import detected, embedded, segmented
from tests.support.models import SMALL, Brightness, Motion, small_model
from worker import wire
from worker.domain.clips import ClipShape
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis, Monotonic
from worker.models.loaded import LoadedModel
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.frames import polls, sample_frames, set_apart
from worker.tuning.measure import answer_of, call_size, model_rate, prepare_frames
from worker.wire.prediction_fields import FrameField, ModelField, WindowField

GROUPS = Groups(ModelGroup(path=Path("model")), WindowGroup(), Limits())
CLIP = ClipShape(6, 15.0)


def grey(number: int) -> CapturedFrame:
    """Return a frame that is as bright as its number."""
    png = cv2.imencode(".png", np.full((12, 12, 3), number, np.uint8))[1].tobytes()
    return CapturedFrame("grey", png, EventMillis(0), content_type="image/png", label="grey")


def numbers(frames: list[CapturedFrame]) -> list[str]:
    return [each.frame_id or "" for each in frames]


def in_clips() -> LoadedModel:
    return small_model(Motion(), task="clip", clip=CLIP, preprocessing=SMALL)


def test_frames_for_clips_follow_each_other() -> None:
    taken = sample_frames((grey(number) for number in range(200)), 10, in_a_row=True)
    assert [each.data for each in taken] == [grey(number).data for number in range(10)]
    assert [(each.frame_id, each.label) for each in taken] == [(str(number), None) for number in range(10)]
    judged, calibration = set_apart(taken, in_a_row=True)
    assert numbers([*judged, *calibration]) == numbers(list(taken))
    assert len(calibration) == 2


def test_pictures_are_spread() -> None:
    taken = sample_frames((grey(number) for number in range(200)), 10, in_a_row=False)
    by_data = {grey(number).data: number for number in range(200)}
    brightness = [by_data[each.data] for each in taken]
    assert brightness == sorted(set(brightness))
    assert brightness[-1] - brightness[0] > 100
    judged, calibration = set_apart(taken, in_a_row=False)
    assert (numbers(list(judged)), numbers(list(calibration))) == (list("12346789"), ["0", "5"])


@pytest.mark.parametrize(
    ("rate", "expected"), [(None, [0, 0, 0, 0]), (25.0, [0, 40, 80, 120]), (7.5, [0, 133, 267, 400])]
)
def test_time_goes_on_at_the_rate_of_the_clips(rate: float | None, expected: list[int]) -> None:
    records = chain.from_iterable(polls([grey(1), grey(2)], rate=rate, endless=True))
    frames = [
        wire.parse_frame(record, arrived_at=EventMillis(0), arrived=Monotonic(0.0)) for record in islice(records, 4)
    ]
    assert [each.frame.captured_at for each in frames] == expected
    assert [each.frame.position.offset for each in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("count", "expected"), [(14, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]), (4, [[0, 1, 2, 3, 0, 1]])]
)
def test_frames_become_clips(count: int, expected: list[list[int]]) -> None:
    pixels = prepare_frames(GROUPS, in_clips(), [grey(number) for number in range(count)])
    assert pixels.shape[1:] == (6, 8, 8, 3)
    assert pixels[:, :, 0, 0, 0].tolist() == expected


def test_without_frames_there_are_no_clips() -> None:
    broken = CapturedFrame("grey", b"no picture", EventMillis(0))
    assert prepare_frames(GROUPS, in_clips(), [broken]).shape == (0, 6, 8, 8, 3)
    assert prepare_frames(GROUPS, small_model(nn.Identity()), [broken, grey(7)]).shape == (1, 8, 8, 3)


def test_a_rate_is_of_clips() -> None:
    model = small_model(Brightness(), task="frame_values", clip=ClipShape(6, 25.0, 2), labels=("dark", "light"))
    pixels = prepare_frames(GROUPS, model, [grey(number) for number in range(12)])
    assert model_rate(model, pixels, call_size(model, 3), 0.01) > 0


@pytest.mark.parametrize(("frames", "streams", "expected"), [(16, 2, 2), (4, 2, 4), (1000, 1, 1)])
def test_a_model_of_clips_is_measured_with_a_part_for_each_stream(frames: int, streams: int, expected: int) -> None:
    settings: dict[str, Any] = {"threads": streams, "streams": streams}
    assert call_size(small_model(Motion(), task="clip", clip=ClipShape(frames, 15.0), **settings), 32) == expected
    assert call_size(small_model(nn.Identity(), **settings), 32) == 32


@pytest.mark.parametrize(("value", "expected"), [(0.25, [(0, 0.75), (1, 0.25)]), (0.5, [(1, 0.5), (0, 0.5)])])
def test_a_value_agrees_as_two_classes_do(value: float, expected: list[tuple[int, float]]) -> None:
    frame = FrameField(camera="c", id="1", topic="t", partition=0, offset=0)
    message = wire.FrameValueMessage(
        frame=frame,
        captured_at_ms=0,
        arrived_at_ms=0,
        published_at_ms=0,
        window=WindowField(start_ms=0, end_ms=1, closed_by="size", late=False),
        model=ModelField("m", "1"),
        value=value,
        threshold=0.5,
        event=None,
        label=None,
        correct=None,
        seconds={},
    )
    assert list(answer_of(message).probabilities.items()) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            detected(0, (2, "b", 0.9, (0, 0, 1, 1)), (1, "a", 0.8, (0, 0, 1, 1)), (2, "b", 0.7, (0, 0, 1, 1))),
            [(2, 0.9), (1, 0.8)],
        ),
        (detected(0), [(0, 1.0)]),
        (segmented(0, (3, "c", 0.75), (0, "background", 0.25)), [(3, 0.75), (0, 0.25)]),
        (embedded(0, 3.0, 4.0), [(0, 0.6), (1, 0.8)]),
        (embedded(0, 0.0), [(0, 0.0)]),
    ],
)
def test_boxes_areas_and_vectors_agree_by_numbers_from_0_to_1(
    message: wire.Message, expected: list[tuple[int, float]]
) -> None:
    assert list(answer_of(message).probabilities.items()) == expected
