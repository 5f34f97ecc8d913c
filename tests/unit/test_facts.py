"""What is shown on each frame, from the messages of every task."""

from collections.abc import Mapping, Sequence

import pytest

from tests.support.messages import (
    MILLIS_A_FRAME,
    after_steps,
    classified,
    clip,
    detected,
    embedded,
    frame_value,
    segmented,
)
from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.views.facts import Outcome, Rejected, facts_of, facts_of_frames
from worker.views.shown import Compared, Event, Facts, Meter, Overlay, Share, ShownBox, Truth
from worker.wire.prediction_fields import MaskField


def frames(count: int, *cameras: str) -> Sequence[CapturedFrame]:
    names = cameras or ("street",)
    return [
        CapturedFrame(names[offset % len(names)], b"", EventMillis(MILLIS_A_FRAME * offset)) for offset in range(count)
    ]


def shown(count: int, outcomes: Mapping[int, Outcome], *cameras: str, event_frames: int = 1) -> Sequence[Facts]:
    found = list(facts_of_frames(frames(count, *cameras), outcomes.get, event_frames=event_frames))
    assert [frame for frame, _ in found] == frames(count, *cameras)
    return [facts for _, facts in found]


def test_a_classification_says_its_classes() -> None:
    assert facts_of(classified(3, "tabby", "tiger cat", camera="desk")) == Facts(
        camera="desk", captured_at=EventMillis(120), classes=(Share("tabby", 0.5), Share("tiger cat", 0.25))
    )


@pytest.mark.parametrize("right", [True, False, None])
def test_a_label_says_whether_the_prediction_is_right(right: bool | None) -> None:  # noqa: FBT001
    assert facts_of(classified(0, "tabby", label="Katze", right=right)).truth == Truth("Katze", right)
    assert facts_of(frame_value(0, 0.2, label="cut", right=right)).truth == Truth("cut", right)


def test_a_clip_says_how_many_frames_the_model_saw() -> None:
    assert facts_of(clip(0, 15, "push up")).note == "clip of 16 frames"
    assert facts_of(clip(0, 15, "push up", used=14)).note == "clip: 14 of 16 frames"
    assert facts_of(clip(0, 15, "push up")).classes == (Share("push up", 0.5),)


def test_a_recurrent_model_says_how_many_frames_it_remembers() -> None:
    assert facts_of(after_steps(3, 1, "wave")).note == "after 1 frame"
    assert facts_of(after_steps(3, 4, "wave")).note == "after 4 frames"
    assert facts_of(after_steps(3, 4, "wave")).classes == (Share("wave", 0.5),)


def test_what_a_recurrent_model_says_is_shown_until_it_sees_the_next_frame() -> None:
    found = shown(5, {1: after_steps(1, 1, "calm"), 3: after_steps(3, 2, "wave")})
    assert [facts.note for facts in found] == ["no prediction", *["after 1 frame"] * 2, *["after 2 frames"] * 2]


def test_a_frame_value_is_a_meter_and_perhaps_an_event() -> None:
    quiet, loud = facts_of(frame_value(7, 0.2)), facts_of(frame_value(8, 0.9, event="cut"))
    assert (quiet.meter, quiet.event) == (Meter(0.2, 0.5), None)
    assert (loud.meter, loud.event) == (Meter(0.9, 0.5), Event("cut", 0))


def test_each_frame_has_its_own_value_and_an_event_begins_on_its_frame() -> None:
    outcomes = {offset: frame_value(offset, offset / 10, event="cut" if offset == 5 else None) for offset in range(8)}
    found = shown(8, outcomes)
    assert [facts.meter for facts in found] == [Meter(offset / 10, 0.5) for offset in range(8)]
    assert [facts.event for facts in found] == [None] * 5 + [Event("cut", 0)] + [None] * 2


def test_an_event_is_shown_for_as_many_frames_as_asked_and_counts_them() -> None:
    outcomes = {offset: frame_value(offset, 0.9, event="cut" if offset in {2, 7} else None) for offset in range(10)}
    since = [facts.event and facts.event.since_event for facts in shown(10, outcomes, event_frames=3)]
    assert since == [None, None, 0, 1, 2, None, None, 0, 1, 2]
    assert [facts.event and facts.event.since_event for facts in shown(4, {0: outcomes[2]}, event_frames=9)] == [
        0,
        1,
        2,
        3,
    ]


def test_a_clips_prediction_is_shown_from_its_last_frame_until_the_next_clips() -> None:
    found = shown(9, {3: clip(0, 3, "walk"), 7: clip(4, 7, "run")})
    assert [facts.classes[0].name if facts.classes else facts.note for facts in found] == [
        *["no prediction"] * 3,
        *["walk"] * 4,
        *["run"] * 2,
    ]
    assert [facts.captured_at for facts in found] == [MILLIS_A_FRAME * offset for offset in range(9)]


def test_a_camera_shows_only_its_own_clips_and_events() -> None:
    outcomes: Mapping[int, Outcome] = {
        2: clip(0, 2, "walk", camera="north"),
        4: frame_value(4, 0.9, event="cut", camera="north"),
    }
    found = shown(8, outcomes, "north", "south", event_frames=5)
    assert {facts.camera for facts in found if facts.classes or facts.event} == {"north"}
    assert [facts.event and facts.event.since_event for facts in found] == [None, None, None, None, 0, None, 1, None]


def test_a_frame_without_prediction_says_why_as_far_as_it_is_known() -> None:
    found = shown(3, {0: classified(0, "tabby"), 1: Rejected("truncated")})
    assert [facts.note for facts in found] == [None, "no prediction: truncated", "no prediction"]
    assert [bool(facts.classes) for facts in found] == [True, False, False]


def test_a_rejected_frame_within_a_clip_keeps_the_clips_classes() -> None:
    (_, rejected, after) = shown(3, {0: clip(0, 0, "walk"), 1: Rejected("truncated")})
    assert (rejected.classes, rejected.note) == ((Share("walk", 0.5),), "no prediction: truncated")
    assert after.note == "clip of 1 frame"


def test_a_detector_says_what_it_found_and_how_that_compares() -> None:
    found = detected(
        3,
        (47, "cup", 0.9, (1.0, 2.0, 3.0, 4.0)),
        (47, "cup", 0.8, (5.0, 2.0, 7.0, 4.0)),
        truth=[("cup", (1.0, 2.0, 3.0, 5.0))],
        correct=(1, 0, 1),
    )
    assert facts_of(found) == Facts(
        camera="street",
        captured_at=EventMillis(120),
        boxes=(ShownBox(47, "cup", 0.9, Box(1, 2, 3, 4)), ShownBox(47, "cup", 0.8, Box(5, 2, 7, 4))),
        true_boxes=(TrueBox("cup", Box(1, 2, 3, 5)),),
        compared=Compared(found=1, true=1, false_alarms=1),
        note="2 cup",
    )
    assert facts_of(detected(0)) == Facts(camera="street", captured_at=EventMillis(0), note="nothing found")


def test_areas_have_the_colours_of_their_classes() -> None:
    mask = MaskField(b"png", (0.0, 0.0, 8.0, 6.0))
    facts = facts_of(segmented(0, (0, "background", 0.75), (8, "cat", 0.25), mask=mask))

    assert facts.classes == (Share("background", 0.75, 0), Share("cat", 0.25, 8))
    assert facts.overlay == Overlay(b"png", Box(0, 0, 8, 6))
    assert facts_of(segmented(0, (0, "background", 1.0))).overlay is None


def test_a_vector_is_a_line() -> None:
    assert facts_of(embedded(0, 0.25, -1.0)).note == "2 numbers: 0.25, -1.00"
    assert facts_of(embedded(0, *[0.5] * 9)).note == "9 numbers: 0.50, 0.50, 0.50, 0.50, ..."
